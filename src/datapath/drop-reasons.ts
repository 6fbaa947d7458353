/**
 * Why packets are dropped, each with its counter in `coverage/show`. What both the original and we have has the original's
 * name there.
 */
export interface DropReason {
  /** The coverage counter. */
  readonly counter: string;
  readonly text: string;
}

const reason = (counter: string, text: string): DropReason => ({ counter, text });

/** Operands of ODP_DROP: how a translation ended (upstream: `enum xlate_error`, with the same numbers). */
export const ACTION_DROPS: readonly DropReason[] = [
  reason("drop_action_of_pipeline", "OK"),
  reason("drop_action_bridge_not_found", "Bridge not found"),
  reason("drop_action_recursion_too_deep", "Recursion too deep"),
  reason("drop_action_too_many_resubmit", "Too many resubmits"),
  reason("drop_action_stack_too_deep", "Stack too deep"),
  reason("drop_action_no_recirculation_context", "No recirculation context"),
  reason("drop_action_recirculation_conflict", "Recirculation conflict"),
  reason("drop_action_too_many_mpls_labels", "Too many MPLS labels"),
  reason("drop_action_invalid_tunnel_metadata", "Invalid tunnel metadata"),
  reason("drop_action_unsupported_packet_type", "Unsupported packet type"),
  reason("drop_action_congestion", "Congestion Drop"),
  reason("drop_action_forwarding_disabled", "Forwarding is disabled"),
];

/** Counter of samples and packet-ins that were lost on their way up; the packet itself went on. */
export const USERSPACE_ACTION_DROPS = "datapath_drop_userspace_action_error";

export const POLICING_DROPS = "datapath_drop_ingress_policing";
export const METER_DROPS = "datapath_drop_meter";

/** What the datapath drops of its own accord; `userspace/shared.ts` has the numbers. */
export const DATAPATH_DROPS: readonly DropReason[] = [
  reason("datapath_drop_invalid_port", "unknown output port"),
  reason("datapath_drop_tx_queue_full", "transmit queue full"),
  reason("datapath_drop_tx_error", "transmit error"),
  reason("datapath_drop_rx_invalid_packet", "frame too short"),
  reason("datapath_drop_upcall_error", "upcall queue full"),
  reason("datapath_drop_recirc_error", "recirculated too often"),
  reason("datapath_drop_not_implemented", "action not implemented"),
  reason("datapath_drop_no_room", "no room for a header"),
  reason("datapath_drop_no_flow", "no flow after recirculation"),
  reason("datapath_drop_over_mtu", "longer than the port's MTU"),
  reason("datapath_drop_bad_gso", "segments cannot be made"),
  reason("datapath_drop_port_down", "port is down"),
  reason("datapath_drop_no_conntrack", "no conntrack yet"),
  reason(METER_DROPS, "meter exceeded"),
  reason(USERSPACE_ACTION_DROPS, "upcall queue full for what an action handed up"),
  reason(POLICING_DROPS, "above the rate of ingress policing"),
];
