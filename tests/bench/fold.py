#!/usr/bin/python3
"""perf script -F comm,tid,ip,sym | fold.py: samples by program and by the outermost entry into the kernel, most first."""

import argparse
import collections
import re
import sys

# By the beginning of their names. What is not here is another's work on the machine.
PROGRAMS = {"aisbx-worker": "worker", "aisbx-spawner": "spawner and its child", "aisbx-init": "init", "bench_load": "clients",
            "grpc": "worker"}
THREADS = ("kworker/", "ksoftirqd/", "rcu", "migration/", "netns", "kthreadd", "cgroup_destroy")
# A sample is named by what lies within these, outermost first.
DOORS = ("do_syscall_64", "do_el0_svc", "entry_SYSCALL_64_after_hwframe", "x64_sys_call", "invoke_syscall", "ret_from_fork_asm",
         "ret_from_fork", "kthread", "worker_thread", "process_one_work", "process_scheduled_works", "smpboot_thread_fn",
         "kthread_worker_fn")
NAMES = [(re.compile(r"(?:__x64_sys_|__arm64_sys_|__do_sys_|__se_sys_|do_)(\w+)"), r"\1"),
         (re.compile(r"(?:asm_)?exc_page_fault|do_mem_abort"), "page fault"), (re.compile(r"(?:asm_)?sysvec_\w+"), "interrupt"),
         (re.compile(r"exit_to_user_mode_loop|syscall_exit_to_user_mode\w*|schedule_tail"), "on the way back"),
         (re.compile(r"__raw_callee_save_\w+"), "entering and leaving the kernel")]
FAULT = re.compile(r"(?:asm_)?exc_\w+|(?:asm_)?sysvec_\w+|do_mem_abort")

class Sample:
    def __init__(self, head):
        self.comm, self.stack = head.rsplit(None, 1)[0].strip(), []

    def program(self, inside):
        """None: another's.   inside: the command that runs in sandboxes."""
        if self.comm.startswith("swapper"):
            return None
        if self.comm.startswith(THREADS):
            return "kernel threads"
        if self.comm == inside:
            return "the program"
        return next((title for comm, title in PROGRAMS.items() if self.comm.startswith(comm)), None)

    def entry(self):
        outer = self.stack[::-1]
        at = next((i for i, symbol in enumerate(outer) if symbol in DOORS or FAULT.fullmatch(symbol)), None)
        if at is None:
            return "its own code"
        while at < len(outer) and outer[at] in DOORS:
            at += 1
        symbol = outer[at].partition(".")[0] if at < len(outer) else "entering and leaving the kernel"
        return next((pattern.fullmatch(symbol).expand(name) for pattern, name in NAMES if pattern.fullmatch(symbol)), symbol)

    def innermost(self):
        return self.stack[0] if self.stack else "?"


def read(lines):
    sample = None
    for line in lines:
        if not line.strip():
            if sample:
                yield sample
            sample = None
        elif sample is None:
            sample = Sample(line)
        else:
            sample.stack.append((line.split() + ["?"])[1])
    if sample:
        yield sample


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inner", action="store_true", help="by the innermost function instead")
    parser.add_argument("--program", default="true", metavar="NAME", help="what runs in the sandboxes (true)")
    parser.add_argument("--acts", type=int, default=0, metavar="N", help="how many were done meanwhile")
    parser.add_argument("--hertz", type=int, default=999, metavar="N", help="samples a second of each processor")
    parser.add_argument("--least", type=float, default=0.5, metavar="%", help="what is less is added up (0.5)")
    options = parser.parse_args()
    by, others = collections.defaultdict(collections.Counter), 0
    for sample in read(sys.stdin):
        program = sample.program(options.program)
        if program is None:
            others += not sample.comm.startswith("swapper")
        else:
            by[program][sample.innermost() if options.inner else sample.entry()] += 1
    total = sum(sum(entries.values()) for entries in by.values())
    if total == 0:
        sys.exit("fold.py: no sample of ours")
    each = f", {1e3 * total / options.hertz / options.acts:.2f} ms for each act" if options.acts else ""
    print(f"{total} samples{each}; {others} of others")
    for program, entries in sorted(by.items(), key=lambda item: -sum(item[1].values())):
        print(f"{100 * sum(entries.values()) / total:5.1f} %  {program}")
        rest = 0.0
        for entry, n in entries.most_common():
            share = 100 * n / total
            if share >= options.least:
                print(f"{'':9}{share:5.1f}  {entry}")
            else:
                rest += share
        if rest > 0:
            print(f"{'':9}{rest:5.1f}  less than {options.least:g} each")


if __name__ == "__main__":
    main()
