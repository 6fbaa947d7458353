"""A controller made of Debian's python3-openflow: listens, drives the one switch that connects, prints what it saw.

usage: controller.py PORT-FILE VERSION (1 or 4)
"""
import socket
import sys

port_file, version = sys.argv[1], int(sys.argv[2])
if version == 1:
    from pyof.v0x01.common.action import ActionOutput
    from pyof.v0x01.common.flow_match import Match
    from pyof.v0x01.common.utils import unpack_message
    from pyof.v0x01.controller2switch.barrier_request import BarrierRequest
    from pyof.v0x01.controller2switch.features_request import FeaturesRequest
    from pyof.v0x01.controller2switch.flow_mod import FlowMod, FlowModCommand
    from pyof.v0x01.controller2switch.packet_out import PacketOut
    from pyof.v0x01.controller2switch.stats_request import StatsRequest as Stats
    from pyof.v0x01.controller2switch.common import FlowStatsRequest, StatsType
    from pyof.v0x01.symmetric.hello import Hello
    FLOW_STATS = StatsType.OFPST_FLOW
    CONTROLLER = 0xFFFD
else:
    from pyof.v0x04.common.action import ActionOutput
    from pyof.v0x04.common.flow_instructions import InstructionApplyAction
    from pyof.v0x04.common.flow_match import Match, OxmOfbMatchField, OxmTLV
    from pyof.v0x04.common.utils import unpack_message
    from pyof.v0x04.controller2switch.barrier_request import BarrierRequest
    from pyof.v0x04.controller2switch.common import MultipartType
    from pyof.v0x04.controller2switch.features_request import FeaturesRequest
    from pyof.v0x04.controller2switch.flow_mod import FlowMod, FlowModCommand
    from pyof.v0x04.controller2switch.multipart_request import FlowStatsRequest, MultipartRequest as Stats
    from pyof.v0x04.controller2switch.packet_out import PacketOut
    from pyof.v0x04.symmetric.hello import Hello
    FLOW_STATS = MultipartType.OFPMP_FLOW
    CONTROLLER = 0xFFFFFFFD

listener = socket.create_server(("127.0.0.1", 0))
with open(port_file, "w") as file:
    file.write(str(listener.getsockname()[1]))
sock = listener.accept()[0]
sock.settimeout(30)
buffer = b""


def receive(*wanted):
    """The next message of one of the types; echo requests are answered."""
    global buffer
    while True:
        while len(buffer) < 8 or len(buffer) < int.from_bytes(buffer[2:4], "big"):
            data = sock.recv(65536)
            if not data:
                sys.exit("the switch has closed the connection")
            buffer += data
        length = int.from_bytes(buffer[2:4], "big")
        raw, buffer = buffer[:length], buffer[length:]
        message = unpack_message(raw)
        name = message.header.message_type.name
        if name == "OFPT_ECHO_REQUEST":
            sock.sendall(raw[:1] + b"\x03" + raw[2:])
        elif name in wanted:
            return message
        elif name == "OFPT_ERROR":
            sys.exit(f"error {message.error_type} {message.code}")


def barrier(xid):
    sock.sendall(BarrierRequest(xid=xid).pack())
    receive("OFPT_BARRIER_REPLY")


def flow(command, priority, port, in_port=None):
    mod = FlowMod(command=command, priority=priority, xid=3)
    mod.buffer_id = 0xFFFFFFFF
    if version == 1:
        mod.match = Match(in_port=in_port) if in_port else Match()
        mod.out_port = 0xFFFF
        if port is not None:
            mod.actions.append(ActionOutput(port=port, max_length=0xFFFF))
    else:
        mod.match = Match()
        if in_port:
            mod.match.oxm_match_fields.append(
                OxmTLV(oxm_field=OxmOfbMatchField.OFPXMT_OFB_IN_PORT, oxm_value=in_port.to_bytes(4, "big"))
            )
        mod.out_port = mod.out_group = 0xFFFFFFFF
        if port is not None:
            mod.instructions.append(InstructionApplyAction(actions=[ActionOutput(port=port, max_length=0xFFFF)]))
    return mod.pack()


sock.sendall(Hello(xid=1).pack())
receive("OFPT_HELLO")
sock.sendall(FeaturesRequest(xid=2).pack())
features = receive("OFPT_FEATURES_REPLY")
print("datapath", str(features.datapath_id).replace(":", ""), "tables", int(features.n_tables.value))
sock.sendall(flow(FlowModCommand.OFPFC_ADD, 10, CONTROLLER, in_port=1))
sock.sendall(flow(FlowModCommand.OFPFC_ADD, 5, 2, in_port=3))
barrier(4)

# Through the table: the flow of port 1 sends it back to us.
OFPP_TABLE = 0xFFF9 if version == 1 else 0xFFFFFFF9
frame = bytes.fromhex("0200000000010200000000028888") + bytes(46)
out = PacketOut(buffer_id=0xFFFFFFFF, in_port=1, actions=[ActionOutput(port=OFPP_TABLE)], data=frame, xid=5)
sock.sendall(out.pack())
seen = receive("OFPT_PACKET_IN")
print("packet-in", "same" if seen.data.value == frame else seen.data.value.hex(), "reason", int(getattr(seen.reason, "value", seen.reason)))

body = FlowStatsRequest()
body.table_id = 0xFF
if version == 1:
    body.match, body.out_port = Match(), 0xFFFF
    request = Stats(body_type=FLOW_STATS, body=body, xid=6)
else:
    body.out_port = body.out_group = 0xFFFFFFFF
    request = Stats(multipart_type=FLOW_STATS, body=body, xid=6)
sock.sendall(request.pack())
reply = receive("OFPT_STATS_REPLY", "OFPT_MULTIPART_REPLY")
for entry in sorted(reply.body, key=lambda e: -int(e.priority.value)):
    print("flow", int(entry.priority.value), "packets", int(entry.packet_count.value))
sock.sendall(flow(FlowModCommand.OFPFC_DELETE, 0, None))
barrier(7)
sock.sendall(request.pack())
print("flows left", len(receive("OFPT_STATS_REPLY", "OFPT_MULTIPART_REPLY").body))
