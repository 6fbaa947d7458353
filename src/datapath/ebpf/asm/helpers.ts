/** Helper functions of the kernel that our programs call (bpf-helpers(7), numbers of include/uapi/linux/bpf.h). */
export const MAP_LOOKUP_ELEM = 1;
export const KTIME_GET_NS = 5;
export const GET_PRANDOM_U32 = 7;
export const GET_SMP_PROCESSOR_ID = 8;
export const SKB_STORE_BYTES = 9;
export const L3_CSUM_REPLACE = 10;
export const L4_CSUM_REPLACE = 11;
export const TAIL_CALL = 12;
export const CLONE_REDIRECT = 13;
export const SKB_VLAN_PUSH = 18;
export const SKB_VLAN_POP = 19;
export const REDIRECT = 23;
export const SKB_LOAD_BYTES = 26;
export const SKB_CHANGE_TYPE = 32;
export const SKB_CHANGE_TAIL = 38;
export const SKB_PULL_DATA = 39;
export const SKB_CHANGE_HEAD = 43;
export const RINGBUF_RESERVE = 131;
export const RINGBUF_SUBMIT = 132;
export const RINGBUF_DISCARD = 133;
export const REDIRECT_PEER = 155;
export const KTIME_GET_COARSE_NS = 160;

const NAMES = new Map([
  [MAP_LOOKUP_ELEM, "map_lookup_elem"],
  [KTIME_GET_NS, "ktime_get_ns"],
  [GET_PRANDOM_U32, "get_prandom_u32"],
  [GET_SMP_PROCESSOR_ID, "get_smp_processor_id"],
  [SKB_STORE_BYTES, "skb_store_bytes"],
  [L3_CSUM_REPLACE, "l3_csum_replace"],
  [L4_CSUM_REPLACE, "l4_csum_replace"],
  [TAIL_CALL, "tail_call"],
  [CLONE_REDIRECT, "clone_redirect"],
  [SKB_VLAN_PUSH, "skb_vlan_push"],
  [SKB_VLAN_POP, "skb_vlan_pop"],
  [REDIRECT, "redirect"],
  [SKB_LOAD_BYTES, "skb_load_bytes"],
  [SKB_CHANGE_TYPE, "skb_change_type"],
  [SKB_CHANGE_TAIL, "skb_change_tail"],
  [SKB_PULL_DATA, "skb_pull_data"],
  [SKB_CHANGE_HEAD, "skb_change_head"],
  [RINGBUF_RESERVE, "ringbuf_reserve"],
  [RINGBUF_SUBMIT, "ringbuf_submit"],
  [RINGBUF_DISCARD, "ringbuf_discard"],
  [REDIRECT_PEER, "redirect_peer"],
  [KTIME_GET_COARSE_NS, "ktime_get_coarse_ns"],
]);

export function helperName(helper: number): string {
  return NAMES.get(helper) ?? `helper ${helper}`;
}
