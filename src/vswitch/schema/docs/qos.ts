/** Documentation of tables QoS and Queue. */
import type { qos, queue } from "../qos.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const qosDoc: DocOf<typeof qos> = {
  about:
    "How the packets that leave a port are queued and shaped; ports refer to it by Port.qos. Rows stay until they are deleted, also when no port uses them.",
  columns: {
    type: {
      text: "Discipline that does the work. ovs-appctl qos/show-types PORT lists those that a port can have.",
      values: {
        "linux-htb":
          "Hierarchical token buckets: each queue has a guaranteed and a highest rate. See tc-htb(8).",
        "linux-hfsc":
          "Hierarchical fair service curves: rates as with linux-htb, with tighter bounds on delay. See tc-hfsc(8).",
        "linux-sfq":
          "Stochastic fairness: flows are hashed and take turns. No queues of its own. See tc-sfq(8).",
        "linux-codel":
          "Controlled delay: drops what has waited too long. No queues of its own. See tc-codel(8).",
        "linux-fq_codel":
          "Fair queueing with controlled delay for each flow. No queues of its own. See tc-fq_codel(8).",
        "linux-netem": "Network emulation: adds delay, jitter and loss for tests. See tc-netem(8).",
        "linux-noop": "Leaves the queueing of the port alone, so that other software can configure it.",
        "egress-policer":
          "One token bucket that drops what exceeds it. DPDK ports only; costs processor time for each packet.",
        "trtcm-policer":
          "Two rates and three colours (RFC 4115), at the queues first and then at the port: green and yellow packets leave, red ones are dropped. DPDK ports only. Queue 0 is created with the port's settings if it is missing.",
      },
    },
    queues:
      "Queues by number, the queue_id of OpenFlow; the type decides how high the numbers may go. Queue 0 takes what no action puts elsewhere; if it is missing, one with default settings is made.",
    other_config: {
      text: "Settings of the discipline as a whole. Those of one queue are in Queue.other_config.",
      keys: {
        "max-rate":
          "Rate shared by all queues, in bit/s (linux-htb, linux-hfsc). Default: the speed of the link, or 10 Gbit/s where it has none.",
        cir: "Committed rate of egress-policer and trtcm-policer, in bytes of IP packets per second, link headers not counted. 46000000 lets a million frames of 64 bytes pass in a second.",
        cbs: "Committed burst, size of the bucket that cir fills, in bytes; at least the largest packet. egress-policer drops a packet that finds too few tokens.",
        eir: "Excess rate on top of cir, in bytes of IP packets per second.",
        ebs: "Excess burst, size of the bucket that eir fills, in bytes; at least the largest packet.",
        perturb:
          "Seconds after which linux-sfq changes its hash, so that flows which collide do not do so for ever. Default 10; each change may reorder packets.",
        quantum: "Bytes that linux-sfq takes from one flow before the next has its turn. Default: the MTU.",
        latency: "Delay that linux-netem adds to each packet, in microseconds.",
        limit: "Most packets that linux-netem holds at a time. Default 1000.",
        loss: "Share of packets that linux-netem loses at random, in percent.",
        jitter: "Variation of the latency of linux-netem, in microseconds.",
      },
    },
    external_ids: EXTERNAL_IDS,
  },
};

export const queueDoc: DocOf<typeof queue> = {
  about: "One output queue of a QoS row, found there by its number. Rows stay until they are deleted.",
  columns: {
    dscp: "DSCP written into packets that leave by this queue. Queue 0 marks only packets that were put into it by name. Empty leaves the field as it is.",
    other_config: {
      text: "Rates and order of this queue. Queue numbers of linux-htb and linux-hfsc must be below 61440.",
      keys: {
        "min-rate": "Rate that the queue is guaranteed, in bit/s, at least 1 (linux-htb, linux-hfsc).",
        "max-rate":
          "Rate that the queue never exceeds even if the link is idle, in bit/s (linux-htb, linux-hfsc). Default: no such limit.",
        burst:
          "Credit that an idle queue can save up, in bits (linux-htb). A value below what htb needs is ignored.",
        priority:
          "Order in which queues are offered spare bandwidth: smaller numbers first (linux-htb). Default 0.",
      },
    },
    external_ids: EXTERNAL_IDS,
  },
};
