"""The table that each drill ends with; scripts/drill.sh joins those of all."""


def print_table(rows):
    """rows: (drill, trials, what was seen)"""
    print("\n| drill | trials | what was seen |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
