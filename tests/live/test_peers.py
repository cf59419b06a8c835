"""What others make and read: impacket's client activates and calls the double, and reads what our client sends.

Without that there would be a closed loop of a client and a double by the same hand. `make peers` installs what this
needs; elsewhere it is skipped, and the recorded bytes in `tests/rpc/test_activation.py` and `test_csra.py` stand in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ca_parts import authority

from tokar.live import csra
from tokar.rpc import activation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ca_double import CaDouble

dcomrt: Any = pytest.importorskip("impacket.dcerpc.v5.dcomrt", reason="impacket is not installed: make peers")
dtypes: Any = pytest.importorskip("impacket.dcerpc.v5.dtypes")
pytestmark = pytest.mark.filterwarnings("ignore")  # it has many of its own


class GetServerState(dcomrt.DCOMCALL):  # type: ignore[misc] # it has no types
    opnum = int(csra.Call.SERVER_STATE)
    structure = (("pwszAuthority", dtypes.LPWSTR),)


class GetServerStateResponse(dcomrt.DCOMANSWER):  # type: ignore[misc] # found by this name
    structure = (("pdwState", dtypes.DWORD), ("ErrorCode", dtypes.DWORD))


@pytest.fixture
def double(tmp_path: Path) -> Iterator[CaDouble]:
    with authority(tmp_path) as double:
        yield double


@pytest.fixture
def dcom(double: CaDouble) -> Iterator[Any]:
    found = connected(double)
    yield found
    dcomrt.DCOMConnection.PORTMAPS.pop(double.host)
    found.disconnect()


def connected(double: CaDouble, password: str = "Secret-1") -> Any:
    found = dcomrt.DCOMConnection(f"{double.host}[{double.port}]", "backup", password, "LAB", oxidResolver=False)
    dcomrt.DCOMConnection.PORTMAPS[double.host] = found.get_dce_rpc()  # it looks there, and expects port 135
    return found


def test_impacket_activates_calls_and_releases(double: CaDouble, dcom: Any) -> None:
    interface = dcom.CoCreateInstanceEx(csra.ADMIN_CLASS, csra.ADMIN.identifier)
    assert double.log == ["activated for LAB\\backup"]
    call = GetServerState()
    call["pwszAuthority"] = "RootCA\0"
    answer = interface.request(call, csra.ADMIN.identifier, uuid=interface.get_iPid())
    assert (answer["pdwState"], answer["ErrorCode"]) == (1, 0)
    assert double.log[-1] == "SERVER_STATE"
    interface.RemRelease()  # it gives one reference back, whatever it holds
    assert [one.references for one in double.objects.values()] == [4]


def test_impacket_asks_which_ways_there_are(double: CaDouble, dcom: Any) -> None:
    bindings = dcomrt.IObjectExporter(dcom.get_dce_rpc()).ServerAlive2()
    assert [one["aNetworkAddr"].rstrip("\0") for one in bindings] == [double.host]


def test_the_double_lets_nobody_in_with_a_wrong_password(double: CaDouble) -> None:
    with pytest.raises(Exception, match=r"(?i)access.?denied"):
        connected(double, "wrong").CoCreateInstanceEx(csra.ADMIN_CLASS, csra.ADMIN.identifier)
    assert not double.log


def test_impacket_reads_every_property_of_our_activation() -> None:
    reference = dcomrt.OBJREF_CUSTOM(activation.request_properties(csra.ADMIN_CLASS, csra.ADMIN.identifier))
    assert (reference["flags"], reference["clsid"]) == (4, activation.PROPERTIES_IN)
    blob = dcomrt.ACTIVATION_BLOB(reference["pObjectData"])
    head = blob["CustomHeader"]
    sizes = [one["Data"] for one in head["pSizes"]]
    names = [one["Data"] for one in head["pclsid"]]
    assert names[1] == activation.INSTANTIATION
    data, at, found = blob["Property"], 0, []
    for size in sizes:
        found.append(data[at : at + size])
        at += size
    assert (len(found), at) == (6, len(data))
    info = dcomrt.InstantiationInfoData()
    info.fromStringReferents(found[1][info.fromString(found[1]) :])
    assert (info["classId"], info["cIID"]) == (csra.ADMIN_CLASS, 1)
    assert [one["Data"] for one in info["pIID"]] == [csra.ADMIN.identifier]
    assert (info["clientCOMVersion"]["MajorVersion"], info["clientCOMVersion"]["MinorVersion"]) == (5, 7)
    assert dcomrt.SpecialPropertiesData(found[0])["dwSessionId"] == 0xFFFFFFFF
    scm = dcomrt.ScmRequestInfoData()
    scm.fromStringReferents(found[5][scm.fromString(found[5]) :])
    assert scm["remoteRequest"]["cRequestedProtseqs"] == 1
