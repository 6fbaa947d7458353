/** struct __sk_buff, what a TC program sees of a packet (include/uapi/linux/bpf.h), and what it may return. */

// Byte offsets; each is 32 bits.
export const SKB_LEN = 0;
export const SKB_MARK = 8;
/** Not 0 when the kernel holds the outermost tag beside the packet's bytes. */
export const SKB_VLAN_PRESENT = 20;
export const SKB_VLAN_TCI = 24;
/** In network order. */
export const SKB_VLAN_PROTO = 28;
export const SKB_PRIORITY = 32;
export const SKB_IFINDEX = 40;
/** Pointers to the first byte, and past the last one, that can be read directly. */
export const SKB_DATA = 76;
export const SKB_DATA_END = 80;
/** Segments that the packet stands for, and the payload of each; 0 for a plain one. */
export const SKB_GSO_SEGS = 164;
export const SKB_GSO_SIZE = 176;

/** As if the program were not there. */
export const TC_ACT_UNSPEC = -1;
/** Goes on its way: at egress of an internal port, up the tap. */
export const TC_ACT_OK = 0;
export const TC_ACT_SHOT = 2;
