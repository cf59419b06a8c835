"""Which log stream a file belongs to, where one of several in a folder was asked for: by headers, never by names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokar.collect.found import Candidate
from tokar.names import collision_key, leaf_of

if TYPE_CHECKING:
    from tokar.ese.identify import Identity
    from tokar.ese.values import Signature

_BESIDE = {"patch", "streaming-file"}  # what belongs to the database whose name it has


class Streams:
    """What headers say of the streams of logs and databases."""

    def __init__(self) -> None:
        self._bases: defaultdict[Signature, set[str]] = defaultdict(set)  # of logs of a stream, or that name a database
        self._names: defaultdict[str, set[str]] = defaultdict(set)  # the same by names of databases
        self._own: dict[str, tuple[Signature, ...]] = {}  # of databases, by path: that of their logs, then their own

    def see(self, one: Candidate, identity: Identity) -> None:
        """Note what the header of a file says."""
        header = identity.header
        if one.kind == "log" and one.base is not None and header is not None:
            attached = getattr(header, "attachments", ())
            for signature in (getattr(header, "signature", None), *(each.signature for each in attached)):
                if signature is not None:
                    self._bases[signature].add(one.base)
            for each in attached:
                self._names[collision_key(leaf_of(each.path))].add(one.base)
        elif one.kind == "database" and header is not None:
            known = (getattr(header, "log_signature", None), getattr(header, "signature", None))
            self._own[one.path] = tuple(each for each in known if each is not None and each.is_set)

    def _bases_of(self, one: Candidate) -> set[str]:
        """Return the base names of the logs to which a database belongs; none where no log here is its own.

        Of one without a header that can be read its name tells, as logs have it.
        """
        own = self._own.get(one.path)
        if own is None:
            return self._names.get(collision_key(leaf_of(one.path)), set())
        return next((self._bases[each] for each in own if each in self._bases), set())

    def others(self, files: Iterable[Candidate], base: str) -> dict[str, str]:
        """Return the databases of other streams than that with a base name, and what belongs to them, each with why."""
        listed = [*files]
        databases = [one for one in listed if one.kind == "database"]
        found = {one.path: bases for one in databases if (bases := self._bases_of(one)) and base not in bases}
        kept = {_stem(one) for one in databases if one.path not in found}
        stems = {_stem(one): found[one.path] for one in databases if one.path in found}
        why = {path: f"a database of another stream, {', '.join(sorted(bases))}" for path, bases in found.items()}
        for one in listed:
            if one.kind in _BESIDE and _stem(one) in stems and _stem(one) not in kept:
                why[one.path] = f"it belongs to a database of another stream, {', '.join(sorted(stems[_stem(one)]))}"
        return why


def _stem(one: Candidate) -> str:
    leaf = leaf_of(one.path)
    return one.path[: -len(leaf)] + collision_key(leaf.rpartition(".")[0])
