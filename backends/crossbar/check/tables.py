"""Static checks of tables: the maps that each names, and what its instruction demands of it."""

from __future__ import annotations

from epimc.backends.crossbar.core.findings import Findings
from epimc.backends.crossbar.core.limits import MAXIMUM_ROWS_READ
from epimc.backends.crossbar.instructions.computing import Computing
from epimc.backends.crossbar.instructions.table import Table, TableCheck, holds
from epimc.support.diagnostics import error


def check_tables(findings: Findings) -> None:
    """Each table by itself."""
    for index, table in enumerate(findings.program.tables_of(Table)):
        check = TableCheck(findings, findings.table_place(index), table)
        if _check_maps(check, table):
            table.check(check)


def check_reads(findings: Findings) -> None:
    """Count the rows that tables read: each is looked for in a buffer, output row by output row.

    Raises:
        EpimcError: They are more than anybody could check.
    """
    program = findings.program
    count = sum(
        len(rows)
        for table, read in zip(program.tables, program.source_rows, strict=True)
        # The host takes maps, not rows.
        if isinstance(table, Computing)
        for lines in read.lines
        for rows in lines
    )
    if count > MAXIMUM_ROWS_READ:
        raise error(
            f"The program reads {count} rows of maps, for each output row those of its window; "
            f"the limit is {MAXIMUM_ROWS_READ}."
        )


def _check_maps(check: TableCheck, table: Table) -> bool:
    """Whether the maps that a table names exist and hold what they must."""
    maps = check.maps
    number, least, most = len(table.sources), table.least_sources, table.most_sources
    bounds = f"{least}" if least == most else f"{least} to {most}"
    if not check.require(least <= number <= most, f"It must read {bounds} maps, not {number}."):
        return False
    for index in (*table.sources, table.destination):
        if not check.require(0 <= index < len(maps), f"There is no map {index}."):
            return False
    # None: maps of either content will do.
    takes, makes = table.contents
    wanted = [*((index, takes) for index in table.sources), (table.destination, makes)]
    good = [
        check.require(
            content in (None, holds(maps[index])),
            f"'{maps[index].name}' must hold {content}, not {holds(maps[index])}.",
        )
        for index, content in wanted
    ]
    return all(good)
