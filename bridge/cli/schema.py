"""The `floor schema` command: prints or writes the AsyncAPI document and the JSON Schemas."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.settings_options import console, fail


def schema(
    write: Annotated[Path | None, typer.Option(help="Folder to write the schemas and asyncapi.json to.")] = None,
) -> None:
    """Print the AsyncAPI 3 document of topics and frames, or write it to a folder with the JSON Schemas.

    There is a schema for each event, each report and each command.
    """
    from bridge.contract import schemas  # noqa: PLC0415

    if write is None:
        print(json.dumps(schemas.asyncapi_document("floor/v1"), indent=2))  # noqa: T201 - a document, not a message
        return
    try:
        written = schemas.write_documents(write)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    for path in written:
        console.print(str(path), highlight=False)
