"""HEAD of a backup: what is known of a set when its archive is begun (spec/format.md section 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokar import names, tokens
from tokar._version import SOFTWARE
from tokar.as_json import to_base64
from tokar.format import canonical_json, metadata
from tokar.format.metadata import Head
from tokar.server.backup_steps import BackupProcedure
from tokar.server.contract import BackupType, NameList, Server

if TYPE_CHECKING:
    from tokar.server.run_backup import BackupOptions


def build_head(server: Server, procedure: BackupProcedure, options: BackupOptions) -> Head:
    """Return HEAD; the server is asked for its locations."""
    locations = procedure.locations()
    texts = {"server": server.name, "name": options.name, "annotation": options.annotation}
    extra: dict[str, Any] = {key: value for key, value in texts.items() if value}
    if procedure.expiry_token:
        extra["blobs"] = {"expiry_token": to_base64(procedure.expiry_token)}
    if options.prior and procedure.kind.backup_type is BackupType.LOGS_ONLY:
        extra["prior"] = {"id": options.prior.archive_id.hex(), "root": options.prior.root.hex()}
    if locations is not None and locations.entries:
        extra.update(_locations(locations))
    created = canonical_json.to_time(options.clock())
    return Head(created, procedure.kind.backup_type.value, server.dialect.profile, SOFTWARE, extra)


def _locations(locations: NameList) -> dict[str, Any]:
    """Return the keys of HEAD for locations: as delivered where there are bytes, else one by one."""
    if locations.data is not None:
        return {"location_list": metadata.location_list_json("w" if locations.wide else "a", locations.data)}
    rows = []
    for entry in locations.entries:
        path = names.decode(entry.raw_name, entry.encoding)
        if entry.token is not None and path is not None:
            is_directory = tokens.role(entry.token) is tokens.Role.DIRECTORY
            rows.append({"kind": "directory" if is_directory else "unsettled", "path": path, "token": entry.token})
    return {"locations": rows} if rows else {}
