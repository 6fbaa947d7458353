# A bridge of ours by programs in a kernel without TCX links and without openvswitch.ko, in a guest. Each part says its name; what
# it prints is judged by ebpf.test.ts.
part() { echo "### $1"; }
host() { # NAME ADDRESS
  ip netns add $1
  ip link add $1-p type veth peer name $1 netns $1
  ip link set $1-p up
  ip -n $1 link set lo up
  ip -n $1 addr add $2 dev $1
  ip -n $1 link set $1 up
}
in_host() { ip netns exec "$@"; }
start() { ovsbox up --detach --pidfile --log-file=/run/up.log 2>/dev/null; }
settle() { # until all masks are asked
  for i in 1 2 3 4 5 6 7 8 9; do
    ovs-appctl dpif-ebpf/show | grep -q "not yet asked" || return
    sleep 0.3
  done
}

for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done
mount -t bpf bpf /sys/fs/bpf
start
ovs-vsctl add-br br0
for n in 1 2; do host h$n 10.0.0.$n/24; done
ovs-vsctl add-port br0 h1-p -- add-port br0 h2-p
ip addr add 10.0.0.9/24 dev br0
ip link set br0 up

part status
ovs-vsctl get bridge br0 status
part ping
in_host h1 ping -c 3 -i 0.2 -W 2 10.0.0.2
in_host h1 ping -c 3 -i 0.2 -W 2 10.0.0.9
settle
part by-programs
ovs-appctl dpif-ebpf/show | grep "packets by"
in_host h1 ping -c 8 -i 0.2 -W 2 10.0.0.2
in_host h1 ping -c 4 -i 0.2 -W 2 10.0.0.9
ovs-appctl dpif-ebpf/show
part tcp
mkdir -p /tmp/www
head -c 4000000 /dev/urandom >/tmp/www/sent
in_host h2 httpd -p 80 -h /tmp/www
in_host h1 wget -q -O /tmp/got http://10.0.0.2/sent
md5sum /tmp/www/sent /tmp/got
part actions
ovs-ofctl -OOpenFlow13 add-meter br0 meter=1,pktps,burst,bands=type=drop,rate=100,burst_size=100
ovs-ofctl -OOpenFlow13 add-flow br0 "priority=10,icmp,in_port=1,actions=meter:1,dec_ttl,mod_nw_tos:8,push_vlan:0x8100,pop_vlan,output:2"
ovs-ofctl add-flow br0 "priority=10,icmp,in_port=2,actions=controller,output:1"
ovs-vsctl set interface h1-p ingress_policing_rate=1000000
in_host h1 ping -c 2 -i 0.2 -W 2 10.0.0.2
settle
in_host h1 ping -c 4 -i 0.2 -W 2 10.0.0.2
ovs-appctl dpif-ebpf/show
part labels
# Out by one end of a cable and in by the other; what else comes in there would go round for ever.
for port in 10 11; do ovs-ofctl add-flow br0 "cookie=7,priority=15,in_port=$port,actions=drop"; done
ip link add tr0 type veth peer name tr1
for end in 0 1; do
  ip link set tr$end mtu 1600
  ip link set tr$end up
  ovs-vsctl add-port br0 tr$end -- set interface tr$end ofport_request=1$end
done
label() { ovs-ofctl -OOpenFlow13 add-flow br0 "cookie=7,priority=20,$1"; }
label "in_port=1,icmp,actions=push_mpls:0x8847,set_field:100->mpls_label,output:10"
label "in_port=11,mpls,mpls_label=100,actions=pop_mpls:0x0800,output:2"
label "in_port=2,icmp,actions=push_mpls:0x8847,set_field:200->mpls_label,push_mpls:0x8847,set_field:300->mpls_label,push_vlan:0x8100,set_field:4101->vlan_vid,output:11"
label "in_port=10,dl_vlan=5,mpls,mpls_label=300,actions=set_field:7->mpls_tc,pop_mpls:0x8847,pop_vlan,resubmit(,1)"
label "table=1,mpls,mpls_label=200,actions=pop_mpls:0x0800,output:1"
in_host h1 ping -c 2 -i 0.2 -W 2 10.0.0.2
settle
in_host h1 ping -c 4 -i 0.2 -W 2 10.0.0.2
ovs-appctl dpif-ebpf/show
ovs-vsctl del-port tr0 -- del-port tr1
ip link del tr0
ovs-ofctl del-flows br0 cookie=7/-1
part verifier
# Programs of all kinds are loaded, and left to the verifier.
host h3 10.0.0.3/24
host h4 10.0.0.4/24
ovs-appctl dpctl/add-dp ebpf@dp1 h3-p h4-p
eth="eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)"
ip4="eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,tos=0,ttl=64,frag=no"
ip6="eth_type(0x86dd),ipv6(src=fc00::1,dst=fc00::2,label=0,tclass=0,hlimit=64,frag=no"
add() { ovs-appctl dpctl/add-flow ebpf@dp1 "in_port(1),$1" "$2" || echo "refused: $1 $2"; }
new4="set(eth(src=02:00:00:00:00:03,dst=02:00:00:00:00:04)),set(ipv4(src=10.0.0.3,dst=10.0.0.4,tos=4,ttl=63))"
new6="set(eth(src=02:00:00:00:00:03,dst=02:00:00:00:00:04)),set(ipv6(src=fc00::3,dst=fc00::4,tclass=4,hlimit=63))"
add "$eth,$ip4,proto=6),tcp(src=1,dst=2),tcp_flags(syn)" "$new4,set(tcp(src=3,dst=4)),2"
add "$eth,$ip4,proto=17),udp(src=1,dst=2)" "2,$new4,set(udp(src=3,dst=4)),2"
add "$ip4,proto=1),icmp(type=8,code=0)" "set(icmp(type=0,code=0)),2"
add "$eth,$ip6,proto=6),tcp(src=1,dst=2)" "$new6,set(tcp(src=3,dst=4)),2"
add "$eth,$ip6,proto=17),udp(src=1,dst=2)" "$new6,set(udp(src=3,dst=4)),2"
add "$ip6,proto=58),icmpv6(type=128,code=0)" "$new6,2"
add "eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=02:00:00:00:00:01,tha=00:00:00:00:00:00)" \
  "set(arp(sip=10.0.0.2,tip=10.0.0.1,op=2,sha=02:00:00:00:00:02,tha=02:00:00:00:00:01)),1"
add "$eth,eth_type(0x8100),vlan(vid=5,pcp=1),encap($ip4,proto=17),udp(src=1,dst=3))" "pop_vlan,push_vlan(vid=7,pcp=2),push_vlan(vid=8,pcp=0),2"
add "$eth,eth_type(0x8100),vlan(vid=6,pcp=1),encap($ip6,proto=17),udp(src=1,dst=3))" "pop_vlan,2"
add "$ip4,proto=132),sctp(src=1,dst=2)" "2"
add "eth_type(0x88cc)" "trunc(100),2"
add "eth_type(0x1234),eth(src=02:00:00:00:00:00/ff:00:00:00:00:00)" "set(skb_priority(0x10001)),1,2"
add "eth_type(0x9001)" "clone(push_vlan(vid=5,pcp=0),2),1"
add "eth_type(0x9002)" "sample(sample=50.0%,actions(2,1)),1,sample(sample=20.0%,actions(push_vlan(vid=5,pcp=0),2))"
n=0
for mask in 254 252 248 240 224 192 128 0; do
  for rest in 0 128; do
    n=$((n + 1))
    add "eth_type(0x0800),ipv4(dst=12.0.0.0/255.$mask.$rest.0,tos=$((n * 4))/0xfc,frag=no)" "2"
  done
done
for i in 1 2 3 4 5 6; do
  ovs-appctl dpif-ebpf/show ebpf@dp1 | grep -q "not yet asked" || break
  sleep 0.5
done
ovs-appctl dpif-ebpf/show ebpf@dp1
ovs-appctl dpctl/del-dp ebpf@dp1
part left-alone
in_host h1 ping -q -c 3 -i 0.2 -W 2 10.0.0.2
settle
kill -9 $(cat /run/ovs-vswitchd.pid)
in_host h1 ping -c 4 -i 0.2 -W 1 10.0.0.2
part taken-over
start
in_host h1 ping -c 4 -i 0.2 -W 1 10.0.0.2
ovs-vsctl get bridge br0 status
part cleaned-up
ovs-appctl exit --cleanup 2>/dev/null
sleep 1
find /sys/fs/bpf/* 2>/dev/null
ip -o link | sed 's/^[0-9]*: //; s/[:@].*//'
part log
cat /run/up.log
