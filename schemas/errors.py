"""Everything this project raises on purpose.

* EarmarkError            one line for the person, exit code 1, no traceback
  + InputError            what was pointed at cannot be used: a folder, a manifest, a bucket
  + ConfigError           a setting that cannot work; names the setting and the fix
  + SchemaError           a record or a shard that breaks its contract; names the field and the value
  + StoreError            a place that cannot be read or written: permission, space, network
  + DecodeError           one recording that cannot be read; the pipeline records it and goes on
  + LabelError            one label file that cannot be read; names the file and the line
  + CheckpointError       a model's folder that cannot be read or written; lists every tensor that differs
  + ClusterError          Ray cannot be reached, or cannot place what the route needs
"""


class EarmarkError(Exception):
    """Raised on purpose; its message says what was found, where, and what to do."""


class InputError(EarmarkError):
    """What the command was pointed at cannot be used."""


class ConfigError(EarmarkError):
    """A setting that cannot work."""


class SchemaError(EarmarkError):
    """A record or a shard that breaks its contract."""


class StoreError(EarmarkError):
    """A place that cannot be read or written."""


class DecodeError(EarmarkError):
    """One recording that cannot be read as sound."""


class LabelError(EarmarkError):
    """A file of labels beside a recording that cannot be read."""


class CheckpointError(EarmarkError):
    """A model's folder that cannot be read or written."""


class ClusterError(EarmarkError):
    """Ray cannot be reached, or cannot place what the route needs."""
