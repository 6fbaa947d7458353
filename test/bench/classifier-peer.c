/* classifier-peer: lookups a second in the original's classifier, with the rules and packets that classifier.ts made.
 *
 * Standard input, 32-bit numbers of this machine: rules, packets, lookups, rounds; a row for each rule (priority, then a value
 * and a mask of each field), a row for each packet (values). Standard output: a line for each round, lookups a second without
 * and with wildcards, and then how many packets matched some rule. Built by classifier.ts against the original's tree. */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "classifier.h"
#include "flow.h"
#include "openvswitch/match.h"
#include "openvswitch/meta-flow.h"
#include "ovs-thread.h"
#include "packets.h"
#include "util.h"

/* Rows have them in this order. */
enum { IN_PORT, METADATA, TUN_ID, DL_SRC, DL_DST, NW_SRC, NW_DST, TP_SRC, TP_DST, FIELDS };

static void read_words(uint32_t *words, size_t n)
{
    if (fread(words, sizeof *words, n, stdin) != n) {
        ovs_fatal(0, "truncated input");
    }
}

static struct eth_addr mac(uint32_t value)
{
    struct eth_addr address;
    eth_addr_from_uint64(0x020000000000ULL | value, &address);
    return address;
}

static void make_match(const uint32_t *row, struct match *match)
{
    const uint32_t *mask = row + FIELDS;
    match_init_catchall(match);
    match_set_dl_type(match, htons(ETH_TYPE_IP));
    match_set_nw_proto(match, IPPROTO_TCP);
    if (mask[IN_PORT]) {
        match_set_in_port(match, row[IN_PORT]);
    }
    if (mask[METADATA]) {
        match_set_metadata(match, htonll(row[METADATA]));
    }
    if (mask[TUN_ID]) {
        match_set_tun_id(match, htonll(row[TUN_ID]));
    }
    if (mask[DL_SRC]) {
        match_set_dl_src(match, mac(row[DL_SRC]));
    }
    if (mask[DL_DST]) {
        match_set_dl_dst(match, mac(row[DL_DST]));
    }
    if (mask[NW_SRC]) {
        match_set_nw_src_masked(match, htonl(row[NW_SRC]), htonl(mask[NW_SRC]));
    }
    if (mask[NW_DST]) {
        match_set_nw_dst_masked(match, htonl(row[NW_DST]), htonl(mask[NW_DST]));
    }
    if (mask[TP_SRC]) {
        match_set_tp_src(match, htons(row[TP_SRC]));
    }
    if (mask[TP_DST]) {
        match_set_tp_dst(match, htons(row[TP_DST]));
    }
}

static void make_flow(const uint32_t *row, struct flow *flow)
{
    memset(flow, 0, sizeof *flow);
    flow->dl_type = htons(ETH_TYPE_IP);
    flow->nw_proto = IPPROTO_TCP;
    flow->in_port.ofp_port = row[IN_PORT];
    flow->metadata = htonll(row[METADATA]);
    flow->tunnel.tun_id = htonll(row[TUN_ID]);
    flow->dl_src = mac(row[DL_SRC]);
    flow->dl_dst = mac(row[DL_DST]);
    flow->nw_src = htonl(row[NW_SRC]);
    flow->nw_dst = htonl(row[NW_DST]);
    flow->tp_src = htons(row[TP_SRC]);
    flow->tp_dst = htons(row[TP_DST]);
}

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

int main(int argc OVS_UNUSED, char *argv[])
{
    static const enum mf_field_id prefixes[] = { MFF_IPV4_DST, MFF_IPV4_SRC };
    struct classifier cls;
    uint32_t head[4];

    set_program_name(argv[0]);
    read_words(head, 4);
    uint32_t n_rules = head[0], n_packets = head[1], n_lookups = head[2], n_rounds = head[3];

    classifier_init(&cls, flow_segment_u64s);
    classifier_set_prefix_fields(&cls, prefixes, ARRAY_SIZE(prefixes));
    struct cls_rule *rules = xmalloc(n_rules * sizeof *rules);
    classifier_defer(&cls);
    for (uint32_t i = 0; i < n_rules; i++) {
        uint32_t row[1 + 2 * FIELDS];
        struct match match;
        read_words(row, 1 + 2 * FIELDS);
        make_match(row + 1, &match);
        cls_rule_init(&rules[i], &match, row[0]);
        classifier_insert(&cls, &rules[i], OVS_VERSION_MIN, NULL, 0);
    }
    classifier_publish(&cls);

    struct flow *flows = xmalloc(n_packets * sizeof *flows);
    for (uint32_t i = 0; i < n_packets; i++) {
        uint32_t row[FIELDS];
        read_words(row, FIELDS);
        make_flow(row, &flows[i]);
    }

    for (uint32_t round = 0; round < n_rounds; round++) {
        for (int with = 0; with < 2; with++) {
            double began = now();
            for (uint32_t i = 0; i < n_lookups; i++) {
                struct flow_wildcards wc;
                if (with) {
                    flow_wildcards_init_catchall(&wc);
                }
                classifier_lookup(&cls, OVS_VERSION_MAX, &flows[i % n_packets], with ? &wc : NULL, NULL);
            }
            printf("%.0f ", n_lookups / (now() - began));
        }
        printf("\n");
        fflush(stdout);
    }
    uint32_t hits = 0;
    for (uint32_t i = 0; i < n_packets; i++) {
        hits += classifier_lookup(&cls, OVS_VERSION_MAX, &flows[i], NULL, NULL) != NULL;
    }
    printf("%"PRIu32"\n", hits);
    return 0;
}
