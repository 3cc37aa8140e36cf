"""A line of python or node in a new sandbox by its source, next to an interpreter without one."""

import os
import shutil

from common import Table, stats

# Between two of one language, so that an interpreter waits again: what is measured is who asks now and then.
WAIT_MS = 300
PATH = "/usr/local/bin:/usr/bin:/bin"  # no shims of version managers, which sandboxes do not have


def script(bench):
    languages = [("python", "python3", "-c", "print(1)"), ("node", "node", "-e", "console.log(1)")]
    rounds = max(2, bench.options.rounds // 2)
    for language, program, flag, source in languages:
        where = shutil.which(program, path=PATH)
        if where is None:
            bench.note(f"{program} is not in {PATH}, left out")
            continue
        profile = f"{language}-dev"
        took, hits, of = bench.from_pool(bench.turns, [
            ("plain", "talk", where, flag, source), ("wait", "wait", WAIT_MS), ("pause", "spin", 5),
            ("warm", "script", profile, language, source)], rounds)
        for part, title, i in (("first", "first byte", 0), ("whole", "to its end", 1)):
            table = Table(f"{language}_{part}", f"{source}, {title}", ratios=("plain",))
            table.add("plain", f"{os.path.basename(where)} {flag}, no sandbox", stats(took["plain"][i], 1e3))
            table.add("warm", "gRPC StartExec of a script, new sandbox", stats(took["warm"][i], 1e3),
                      note=f"{hits} of {of} from the pool")
            bench.table(table)
            if part == "first":
                bench.figure(language, table.rows["warm"]["x"]["plain"])
