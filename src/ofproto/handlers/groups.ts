/** Groups and meters: a switch that has none yet says so in OpenFlow's words. */

import type { Ofpact } from "../../openflow/actions.ts";
import { OfpError } from "../../openflow/errors.ts";
import type { Handlers } from "./dispatch.ts";

/** Groups are numbered up to here. */
const OFPG_MAX = 0xffffff00;
/** Bits of OFPAT actions that a bucket may hold: as for tables. */
const BUCKET_ACTIONS = 0;

/** Throws when actions name a group or a meter that is not there. */
export function checkReferences(actions: readonly Ofpact[]): void {
  for (const action of actions) {
    if (action.type === "group") throw new OfpError("OFPBAC_BAD_OUT_GROUP");
    if (action.type === "meter") throw new OfpError("OFPMMFC_INVALID_METER");
    if (action.type === "write_actions" || action.type === "clone") checkReferences(action.actions);
  }
}

export const GROUP_HANDLERS: Handlers = {
  "group-request": (connection, _message, { xid }) =>
    connection.send({ type: "group-reply", groups: [] }, xid),
  "group-desc-request": (connection, _message, { xid }) => {
    connection.send({ type: "group-desc-reply", groups: [] }, xid);
  },
  "group-desc-request-all": (connection, _message, { xid }) => {
    connection.send({ type: "group-desc-reply", groups: [] }, xid);
  },
  "group-features-request": (connection, _message, { xid }) => {
    connection.send(
      {
        type: "group-features-reply",
        types: 0,
        capabilities: 0,
        maxGroups: [OFPG_MAX, OFPG_MAX, OFPG_MAX, OFPG_MAX],
        actions: [BUCKET_ACTIONS, BUCKET_ACTIONS, BUCKET_ACTIONS, BUCKET_ACTIONS],
      },
      xid,
    );
  },
  "meter-request": (connection, _message, { xid }) =>
    connection.send({ type: "meter-reply", meters: [] }, xid),
  "meter-config-request": (connection, _message, { xid }) => {
    connection.send({ type: "meter-config-reply", meters: [] }, xid);
  },
  "meter-features-request": (connection, _message, { xid }) => {
    connection.send(
      { type: "meter-features-reply", maxMeters: 0, bandTypes: 0, capabilities: 0, maxBands: 0, maxColor: 0 },
      xid,
    );
  },
};
