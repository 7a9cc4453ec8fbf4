"""ML Metadata's tables, for a file that ML Metadata opens too.

Table and column names, types and uniqueness are what the SQLite files of schema version 10 (release 1.17.1)
have; the indexes that only make large stores faster are left out.
"""

VERSION = 10
_ID = "id INTEGER PRIMARY KEY AUTOINCREMENT"
_EXTERNAL = "external_id VARCHAR(255) UNIQUE"
_TIMES = tuple(f"{when}_time_since_epoch INT NOT NULL DEFAULT 0" for when in ("create", "last_update"))
_VALUES = ("int_value INT", "double_value DOUBLE", "string_value TEXT", "byte_value BLOB", "proto_value BLOB")

# What records of each kind have besides an id, a type, a name, times and properties.
_RECORDS = {
    "Artifact": ("uri TEXT", "state INT"),
    "Execution": ("last_known_state INT",),
    "Context": (),
}


def statements() -> list[str]:
    """The SQL that turns an empty SQLite file into an empty store."""
    tables = {
        "MLMDEnv": ("schema_version INTEGER PRIMARY KEY",),
        "Type": (
            *(_ID, "name VARCHAR(255) NOT NULL", "version VARCHAR(255)", "type_kind TINYINT(1) NOT NULL"),
            *("description TEXT", "input_type TEXT", "output_type TEXT", _EXTERNAL),
        ),
        "TypeProperty": (*_references("type"), "name VARCHAR(255) NOT NULL", "data_type INT", _key("type_id, name")),
        "ParentType": (*_references("type", "parent_type"), _key("type_id, parent_type_id")),
        "ParentContext": (*_references("context", "parent_context"), _key("context_id, parent_context_id")),
        "Association": (_ID, *_references("context", "execution"), "UNIQUE (context_id, execution_id)"),
        "Attribution": (_ID, *_references("context", "artifact"), "UNIQUE (context_id, artifact_id)"),
        "Event": (
            *(_ID, *_references("artifact", "execution"), "type INT NOT NULL", "milliseconds_since_epoch INT"),
            "UNIQUE (artifact_id, execution_id, type)",
        ),
        "EventPath": (*_references("event"), "is_index_step TINYINT(1) NOT NULL", "step_index INT", "step_key TEXT"),
    }
    for kind, own in _RECORDS.items():
        name = "name VARCHAR(255)" + (" NOT NULL" if kind == "Context" else "")
        tables[kind] = (_ID, *_references("type"), *own, name, _EXTERNAL, *_TIMES, "UNIQUE (type_id, name)")
        owner = kind.lower()
        tables[f"{kind}Property"] = (
            *(*_references(owner), "name VARCHAR(255) NOT NULL", "is_custom_property TINYINT(1) NOT NULL"),
            *(*_VALUES, "bool_value BOOLEAN", _key(f"{owner}_id, name, is_custom_property")),
        )
    created = [f"CREATE TABLE {name} ({', '.join(columns)})" for name, columns in tables.items()]
    return [*created, f"INSERT INTO MLMDEnv VALUES ({VERSION})"]


def _references(*tables: str) -> list[str]:
    return [f"{table}_id INT NOT NULL" for table in tables]


def _key(columns: str) -> str:
    return f"PRIMARY KEY ({columns})"
