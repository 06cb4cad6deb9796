"""YAML read strictly: what the library lets pass, or says in words of its own, has a line and a remedy."""

from typing import Any

import yaml

from exporter.yandex.secrets import one_line, redact

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # a PyYAML that was built without libyaml is ten times slower, and no worse
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

_KINDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "timestamp": "a date"}


class NotMeant(yaml.MarkedYAMLError):
    """YAML that cannot be meant: `problem` says why, `line` counts from 1, `value` may be shown or not."""

    def __init__(self, problem: str, node: yaml.Node, value: str = "") -> None:
        super().__init__(problem=problem, problem_mark=node.start_mark)
        self.line = int(node.start_mark.line) + 1
        self.value = value


class StrictLoader(_SafeLoader):
    """A safe loader that raises NotMeant for a key that comes twice and a value that does not fit its tag."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping, in which no key takes the place of another."""
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = key_node.value
            if isinstance(key, str) and key != "<<":
                if key in seen:
                    raise NotMeant(f"the key {one_line(redact(key), 80)} comes twice; keep one", key_node)
                seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Return a value; what Python says of one that does not fit its tag is put into words."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError, IndexError, OverflowError):
            if not isinstance(node, yaml.ScalarNode):
                raise
            kind = node.tag.rpartition(":")[2]
            said = f"is not {_KINDS.get(kind, kind)}; quote it, without a tag, if it is text"
            raise NotMeant(said, node, repr(one_line(redact(node.value), 60))) from None
