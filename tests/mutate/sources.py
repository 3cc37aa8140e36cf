"""Does the table name what the sources ask for?"""
import os
import re

HOOK = re.compile(r'sb_mutated(_part|_number)?\(\s*"([^"]+)"')
STEP = re.compile(r'\{"([a-z]+)", \w+\},')
FOLDERS = ('base', 'cli', 'proto', 'service')
# Groups of which the table has those that a probe can see; the others only help to set up.
OPEN_GROUPS = ('step.', 'parent.', 'floor.', 'rlimit.')


def files(repository):
    for folder in FOLDERS:
        for where, _, names in os.walk(os.path.join(repository, folder)):
            for name in names:
                if name.endswith('.c'):
                    with open(os.path.join(where, name), encoding='utf-8') as file:
                        yield os.path.relpath(os.path.join(where, name), repository), file.read()


def known_names(repository):
    """name -> file; a group ends in a dot."""
    names = {}
    for path, text in files(repository):
        for suffix, name in HOOK.findall(text):
            names.setdefault(name + ('.' if suffix else ''), path)
    return names


def steps(repository, path):
    with open(os.path.join(repository, path), encoding='utf-8') as file:
        return set(STEP.findall(file.read()))


def is_known(name, names, parts):
    group, dot, part = name.partition('.')
    if name in names:
        return True
    return group + dot in names and (group not in parts or part in parts[group])


def check(repository, rows):
    names = known_names(repository)
    parts = {'step': steps(repository, 'service/spawner/drivers/native.c'),
             'parent': steps(repository, 'service/spawner/launch.c')}
    with open(os.path.join(repository, 'SECURITY.md'), encoding='utf-8') as file:
        security = file.read()
    problems = []
    switched = {name for row in rows for name in row.off.split(',')}
    named = switched | {name for row in rows for name in row.front.split(',') if name}
    for name in sorted(named):
        if not is_known(name, names, parts):
            problems.append(f'tests/mutate/table.py: no source asks for {name}')
    for name, path in sorted(names.items()):
        if name not in OPEN_GROUPS and name not in named:
            problems.append(f'{path}: {name} has no row in tests/mutate/table.py')
    for name in sorted(switched):
        group = name.partition('.')[0]
        if f'`{name}`' not in security and f'`{group}.*`' not in security:
            problems.append(f'SECURITY.md does not name {name}')
    if len({row.layer for row in rows}) != len(rows):
        problems.append('tests/mutate/table.py: two rows have one name')
    print('\n'.join(problems) or f'{len(rows)} rows, {len(switched)} names')
    return 1 if problems else 0
