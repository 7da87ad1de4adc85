"""Where in a YAML file the location of an error leads."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

Location = tuple[int | str, ...]
"""Where something stands in a file: keys and list positions from the top."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a location leads: the node to point at, and the node that holds what stands there. `fit` says how well
    the location was followed: whether its last word was found, and how many of its parts."""

    fit: tuple[bool, int]
    at: Node
    value: Node


def find(root: Node, location: Location) -> Found:
    """The node that an error's location means. Locations also hold union tags, which stand nowhere in the file: of
    the ways to read them the one is taken that finds the last word, then the one that finds most parts."""
    known: dict[tuple[int, int], Found] = {}  # or the ways to read a place deep inside would be without number

    def walk(node: Node, at: int) -> Found:
        if at == len(location):
            return Found((True, 0), node, node)
        key = (id(node), at)
        if key not in known:
            known[key] = look(node, at)
        return known[key]

    def look(node: Node, at: int) -> Found:
        part, is_last = location[at], at + 1 == len(location)
        best = walk(node, at + 1)
        if is_last:
            best = replace(best, fit=(False, 0))
        child = _child(node, part)
        if child is not None:
            found = walk(child[1], at + 1)
            last = isinstance(part, str) if is_last else found.fit[0]
            found = Found((last, found.fit[1] + 1), child[0] if is_last else found.at, found.value)
            if found.fit >= best.fit:
                best = found
        return best

    return walk(root, 0)


def _child(node: Node, part: int | str) -> tuple[Node, Node] | None:
    """What stands at a position or under a key: the node to point at, and the value."""
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == part), None)
    return None
