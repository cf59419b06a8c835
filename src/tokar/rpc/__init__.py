"""DCE/RPC over TCP and the part of DCOM that a client needs, after C706, MS-RPCE and MS-DCOM.

`ndr` has values, `pdus` the packets, `auth` protection by pyspnego, `connection` calls with deadlines; `objref` and
`activation` what stands in the calls of DCOM, `remote_object` an object from its activation to its release, and
`trace` what of all this may be shown to others.
"""
