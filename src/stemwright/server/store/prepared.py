"""Statements of the hot paths, compiled once: building one costs ten times what the database needs to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import Executable

Processor = Callable[[Any], Any] | None


class Prepared:
    """A statement whose every value is a `sa.bindparam`; calling it runs it in `tx` and returns all its rows.

    The text, the order of its parameters, the conversion of values and the errors are SQLAlchemy's; its execution is
    not used.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, tx: sa.Connection, **parameters: Any) -> list[Sequence[Any]]:
        """Run it; no rows when it returns none."""
        compiled = self._compiled.get(tx.dialect.name)
        if compiled is None:
            compiled = self._compiled[tx.dialect.name] = _Compiled(self._statement, tx.dialect)
        driver: Any = tx.connection.driver_connection
        try:
            return compiled.run(driver, parameters)
        except tx.dialect.loaded_dbapi.Error as error:
            raise _told(error, tx, compiled, parameters) from error


class PreparedInsert:
    """An insert of any number of rows in one statement; `once` leaves those whose key is there already as they are."""

    def __init__(self, table: sa.Table, columns: Iterable[str], *, once: bool = False) -> None:
        self._table, self._columns, self._once = table, tuple(columns), once
        self._of_count: dict[int, Prepared] = {}

    def __call__(self, tx: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows; each has a value for every column."""
        if not rows:
            return
        statement = self._of_count.get(len(rows)) or self._prepared(len(rows))
        statement(tx, **{f"{name}_{at}": row[name] for at, row in enumerate(rows) for name in self._columns})

    def _prepared(self, count: int) -> Prepared:
        values = [{name: sa.bindparam(f"{name}_{at}") for name in self._columns} for at in range(count)]
        insert = postgresql.insert(self._table).values(values)  # SQLite writes its conflicts in the same words
        self._of_count[count] = found = Prepared(insert.on_conflict_do_nothing() if self._once else insert)
        return found


def _told(error: Exception, tx: sa.Connection, compiled: _Compiled, parameters: dict[str, Any]) -> Exception:
    """The driver's error as SQLAlchemy tells it; a connection that is lost does not go back into the pool."""
    driver = tx.dialect.loaded_dbapi
    lost = tx.dialect.is_disconnect(error, tx.connection.dbapi_connection, None)  # type: ignore[arg-type]
    if lost:
        tx.invalidate(error)
    return DBAPIError.instance(
        compiled.text,
        parameters,
        error,
        driver.Error,
        hide_parameters=tx.engine.hide_parameters,
        connection_invalidated=lost,
        dialect=tx.dialect,
    )


class _Compiled:
    """The statement for one kind of database."""

    def __init__(self, statement: Any, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self.text = str(compiled)
        self._positions: tuple[str, ...] | None = compiled.positiontup and tuple(compiled.positiontup)
        self._binds = {
            name: convert
            for name, bind in compiled.binds.items()
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect))
        }
        returned = [column.type for column in getattr(statement, "exported_columns", ())]
        # PostgreSQL's driver returns values of the right types by itself.
        returned = returned if dialect.name == "sqlite" else []
        converts: list[Processor] = [kind.dialect_impl(dialect).result_processor(dialect, None) for kind in returned]
        self._results = [(at, convert) for at, convert in enumerate(converts) if convert]

    def run(self, connection: Any, parameters: dict[str, Any]) -> list[Sequence[Any]]:
        """Run it on the driver's connection."""
        parameters = self._constants | parameters
        for name, convert in self._binds.items():
            parameters[name] = convert(parameters[name])
        given = parameters if self._positions is None else [parameters[name] for name in self._positions]
        cursor = connection.execute(self.text, given)
        rows = cursor.fetchall() if cursor.description else []
        return [self._converted(row) for row in rows] if self._results else rows

    def _converted(self, row: Sequence[Any]) -> Sequence[Any]:
        values = list(row)
        for at, convert in self._results:
            values[at] = convert(values[at])
        return values
