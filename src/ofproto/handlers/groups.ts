/** Groups and meters: their modification, description and counters. */

import { OFPG_ALL, OFPG_MAX, type Ofpact } from "../../openflow/actions.ts";
import { OfpError } from "../../openflow/errors.ts";
import type { GroupMod, GroupRequest, GroupStats, MeterStats } from "../../openflow/messages.ts";
import type { Connection } from "../connections/connection.ts";
import { durationSince } from "../duration.ts";
import type { Group } from "../group.ts";
import { BAND_TYPES, MAX_BANDS, METER_FLAGS, type Meter, OFPM_ALL, OFPM_MAX } from "../meter.ts";
import type { Ofproto } from "../ofproto.ts";
import type { Handlers } from "./dispatch.ts";

/** OFPGFC_SELECT_WEIGHT, SELECT_LIVENESS, CHAINING. */
const GROUP_CAPABILITIES = 7;
/** OFPAT11 and later numbers of actions that a bucket may hold, as bits. */
const BUCKET_ACTIONS = [0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25].reduce(
  (all, bit) => all | (1 << bit),
  0,
);

/** Every action of OpenFlow 1.0. */
const OF10_ACTIONS = 0xfff;

/** Throws when actions name a group or a meter that is not there. */
export function checkReferences(ofproto: Ofproto, actions: readonly Ofpact[]): void {
  for (const action of actions) {
    if (action.type === "group" && ofproto.groups.get(action.groupId) === undefined)
      throw new OfpError("OFPBAC_BAD_OUT_GROUP");
    if (action.type === "meter" && ofproto.meters.get(action.meterId) === undefined)
      throw new OfpError("OFPMMFC_INVALID_METER");
    if (action.type === "write_actions" || action.type === "clone") checkReferences(ofproto, action.actions);
  }
}

/** Changes the group table within the open transaction, or for good when there is none. */
export function startGroupMod(connection: Connection, mod: GroupMod): void {
  const { ofproto } = connection;
  for (const { actions } of mod.buckets)
    checkReferences(
      ofproto,
      actions.filter(({ type }) => type !== "group"),
    );
  ofproto.groups.apply(mod);
}

function groupStats(ofproto: Ofproto, group: Group): GroupStats {
  return {
    groupId: group.id,
    refCount: ofproto.flowsOfGroup(group.id).length,
    packets: BigInt(group.packets),
    bytes: BigInt(group.bytes),
    duration: durationSince(group.createdMs, ofproto.clock.now()),
    buckets: group.buckets.map(({ packets, bytes }) => ({ packets: BigInt(packets), bytes: BigInt(bytes) })),
  };
}

function describeGroups(connection: Connection, groupId: number, xid: number): void {
  const groups = connection.ofproto.groups.select(groupId).map((group) => ({
    groupId: group.id,
    groupType: group.type,
    buckets: group.buckets.map(({ config }) => config),
    props: group.props,
  }));
  connection.send({ type: "group-desc-reply", groups }, xid);
}

function meterStats(ofproto: Ofproto, meter: Meter): MeterStats {
  const { packets, bytes, bands } = ofproto.meters.stats(meter);
  return {
    meterId: meter.id,
    flowCount: ofproto.flowsOfMeter(meter.id).length,
    packets: BigInt(packets),
    bytes: BigInt(bytes),
    duration: durationSince(meter.createdMs, ofproto.clock.now()),
    bands: bands.map((band) => ({ packets: BigInt(band.packets), bytes: BigInt(band.bytes) })),
  };
}

export const GROUP_HANDLERS: Handlers = {
  "group-mod": (connection, message, { xid }) => {
    startGroupMod(connection, message);
    connection.ofproto.backer.changed();
    connection.ofproto.connections.requestForward(connection, 0, message, xid);
  },
  "group-request": (connection, { groupId }: GroupRequest, { xid }) => {
    const { ofproto } = connection;
    ofproto.backer.pushStats();
    const groups = ofproto.groups.select(groupId).map((group) => groupStats(ofproto, group));
    connection.send({ type: "group-reply", groups }, xid);
  },
  "group-desc-request": (connection, { groupId }: GroupRequest, { xid }) => {
    describeGroups(connection, groupId, xid);
  },
  "group-desc-request-all": (connection, _message, { xid }) => describeGroups(connection, OFPG_ALL, xid),
  "group-features-request": (connection, _message, { xid }) => {
    const actions = connection.version === 1 ? OF10_ACTIONS : BUCKET_ACTIONS;
    connection.send(
      {
        type: "group-features-reply",
        types: 0xf,
        capabilities: GROUP_CAPABILITIES,
        maxGroups: [OFPG_MAX, OFPG_MAX, OFPG_MAX, OFPG_MAX],
        actions: [actions, actions, actions, actions],
      },
      xid,
    );
  },
  "meter-mod": (connection, message, { xid }) => {
    const { ofproto } = connection;
    if (message.command === 2 && message.meterId !== OFPM_ALL && message.meterId > OFPM_MAX) {
      if (ofproto.meters.get(message.meterId) === undefined) return;
    }
    for (const meter of ofproto.meters.apply(message)) ofproto.meterDeleted(meter.id);
    ofproto.backer.changed();
    ofproto.connections.requestForward(connection, 1, message, xid);
  },
  "meter-request": async (connection, message, { xid }) => {
    const { ofproto } = connection;
    await ofproto.backer.dpif.settled();
    const meters = ofproto.meters.select(message.meterId).map((meter) => meterStats(ofproto, meter));
    connection.send({ type: "meter-reply", meters }, xid);
  },
  "meter-config-request": (connection, message, { xid }) => {
    const meters = connection.ofproto.meters.select(message.meterId).map(({ config }) => config);
    connection.send({ type: "meter-config-reply", meters }, xid);
  },
  "meter-features-request": (connection, _message, { xid }) => {
    connection.send(
      {
        type: "meter-features-reply",
        maxMeters: connection.ofproto.meters.maxMeters,
        bandTypes: BAND_TYPES,
        capabilities: METER_FLAGS,
        maxBands: MAX_BANDS,
        maxColor: 0,
      },
      xid,
    );
  },
};
