/** Documentation of tables QoS and Queue. */
import type { qos, queue } from "../qos.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const qosDoc: DocOf<typeof qos> = {
  about: "Quality of service for a port. Rows stay when nothing refers to them.",
  columns: {
    type: "linux-htb, linux-hfsc, linux-sfq, linux-codel, linux-fq_codel, linux-netem, linux-noop, egress-policer, trtcm-policer; needs support by the kernel or datapath.",
    queues: "Queues by number; queue 0 takes what is not put into another.",
    other_config: {
      text: "Settings of the type.",
      keys: {
        "max-rate": "Bits a second for all queues together (htb, hfsc).",
        "cir, cbs": "Policers: committed rate in bytes a second, burst in bytes.",
        "eir, ebs": "trtcm-policer: excess rate and burst.",
        "perturb, quantum": "linux-sfq: seconds between new hashes, bytes a turn.",
        "latency, limit, loss, jitter":
          "linux-netem: delay in milliseconds, queue length, percent lost, jitter.",
      },
    },
    external_ids: EXTERNAL_IDS,
  },
};

export const queueDoc: DocOf<typeof queue> = {
  about: "One queue of a QoS. Rows stay when nothing refers to them.",
  columns: {
    dscp: "DiffServ code point to mark packets with, 0 to 63.",
    other_config: {
      text: "Settings of the queue.",
      keys: {
        "min-rate": "Bits a second guaranteed.",
        "max-rate": "Bits a second at most.",
        burst: "Bits in one burst (linux-htb).",
        priority: "Lower goes first (linux-htb).",
      },
    },
    external_ids: EXTERNAL_IDS,
  },
};
