# Tunnels between openvswitch.ko in two namespaces, no daemon. Each part says its name; what it prints is judged by tunnels.test.ts.
part() { echo "### $1"; }
far() { ip netns exec far "$@"; }
in_host() { ip netns exec "$@"; }

ip netns add far
ip netns add h1
ip netns add h2
ip link add u0 type veth peer name u1 netns far
ip link add h1-p type veth peer name e netns h1
ip -n far link add h2-p type veth peer name e netns h2
for f in all default; do
  for n in h1 h2; do in_host $n sh -c "echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6"; done
done
ip addr add 10.9.0.1/24 dev u0
ip addr add fd09::1/64 dev u0 nodad
ip -n far addr add 10.9.0.2/24 dev u1
ip -n far addr add fd09::2/64 dev u1 nodad
ip link set u0 up
ip link set h1-p up
ip -n far link set lo up
ip -n far link set u1 up
ip -n far link set h2-p up
for n in h1 h2; do ip -n $n link set e up; done
mac() { in_host $1 cat /sys/class/net/e/address; }
mac1=$(mac h1)
mac2=$(mac h2)

part made
ovs-dpctl add-dp dp0 h1-p "vx,type=vxlan,port_no=9" "vg,type=vxlan,dst_port=4790,exts=gbp,port_no=10" "gv,type=geneve,port_no=11" \
  "g,type=gre,port_no=12" "g6,type=ip6gre,port_no=13" "er,type=erspan,port_no=14" "e6,type=ip6erspan,port_no=15"
far ovs-dpctl add-dp dp1 h2-p "vx,type=vxlan,port_no=9" "vg,type=vxlan,dst_port=4790,exts=gbp,port_no=10" "gv,type=geneve,port_no=11" \
  "g,type=gre,port_no=12" "g6,type=ip6gre,port_no=13" "er,type=erspan,port_no=14" "e6,type=ip6erspan,port_no=15"
ovs-dpctl show dp0

# Network 10.8.N of the hosts goes by the Nth of them.
tunnels=0
tunnel() { # PORT OPTIONS-THERE MATCH-THERE OPTIONS-BACK MATCH-HERE
  tunnels=$((tunnels + 1))
  net=10.8.$tunnels
  ip="eth_type(0x0800),ipv4"
  echo "in_port(1),eth(),$ip(dst=$net.2) set(tunnel($2)),$1" >>/tmp/flows0
  echo "tunnel($5),in_port($1),eth(),$ip(src=$net.2) 1" >>/tmp/flows0
  echo "in_port(1),eth(),$ip(dst=$net.1) set(tunnel($4)),$1" >>/tmp/flows1
  echo "tunnel($3),in_port($1),eth(),$ip(src=$net.1) 1" >>/tmp/flows1
  ip -n h1 addr add $net.1/24 dev e
  ip -n h2 addr add $net.2/24 dev e
  ip -n h1 neigh add $net.2 lladdr $mac2 dev e
  ip -n h2 neigh add $net.1 lladdr $mac1 dev e
}
there="dst=10.9.0.2,ttl=64"
back="dst=10.9.0.1,ttl=64"
there6="ipv6_dst=fd09::2,ttl=64"
back6="ipv6_dst=fd09::1,ttl=64"
from="src=10.9.0.1,dst=10.9.0.2"
to="src=10.9.0.2,dst=10.9.0.1"
from6="ipv6_src=fd09::1,ipv6_dst=fd09::2"
to6="ipv6_src=fd09::2,ipv6_dst=fd09::1"

tunnel 9 "tun_id=0x5,$there,tos=0x8,tp_dst=4789,flags(df|csum|key)" \
  "tun_id=0x5,$from,tos=0x8,ttl=64,tp_dst=4789,flags(+csum+key)" "tun_id=0x6,$back,tp_dst=4789,flags(key)" "tun_id=0x6,$to"
tunnel 10 "tun_id=0x5,$there,tp_dst=4790,vxlan(gbp(id=7,flags=0x8)),flags(key)" "tun_id=0x5,$from,vxlan(gbp(id=7))" \
  "tun_id=0x5,$back,tp_dst=4790,flags(key)" "tun_id=0x5,$to"
tunnel 9 "tun_id=0x5,$there6,tp_dst=4789,flags(csum|key)" "tun_id=0x5,$from6" "tun_id=0x5,$back6,tp_dst=4789,flags(key)" "tun_id=0x5,$to6"
tunnel 11 "tun_id=0x8,$there,tp_dst=6081,geneve({class=0x102,type=0x80,len=4,0xa0b}{class=0x2,type=0x1,len=0}),flags(oam|key)" \
  "tun_id=0x8,$from,geneve({class=0x102,type=0x80,len=4,0xa00/0xff00}{class=0x2,type=0x1,len=0}),flags(+oam)" \
  "tun_id=0x8,$back,tp_dst=6081,flags(key)" "tun_id=0x8,$to"
# Not with checksums: what has one a device for all drops (Linux 6.1).
tunnel 12 "tun_id=0x7,$there,flags(key)" "tun_id=0x7,$from,flags(-csum+key)" "$back" "$to,flags(-key)"
tunnel 13 "tun_id=0x7,$there6,flags(key)" "tun_id=0x7,$from6" "tun_id=0x7,$back6,flags(key)" "tun_id=0x7,$to6"
tunnel 14 "tun_id=0x7,$there,erspan(ver=1,idx=0x5),flags(key)" "tun_id=0x7,$from,erspan(ver=1,idx=0x5)" \
  "tun_id=0x7,$back,erspan(ver=2,dir=1,hwid=0x7),flags(key)" "tun_id=0x7,$to,erspan(ver=2,dir=1,hwid=0x7)"
tunnel 15 "tun_id=0x7,$there6,erspan(ver=1,idx=0x5),flags(key)" "tun_id=0x7,$from6,erspan(ver=1,idx=0x5)" \
  "tun_id=0x7,$back6,erspan(ver=1,idx=0x6),flags(key)" "tun_id=0x7,$to6,erspan(ver=1,idx=0x6)"
ovs-dpctl add-flows dp0 /tmp/flows0
far ovs-dpctl add-flows dp1 /tmp/flows1
for n in $(seq $tunnels); do
  part ping-$n
  in_host h1 ping -c 3 -i 0.2 -W 20 10.8.$n.2
done
part flows
ovs-dpctl dump-flows dp0
far ovs-dpctl dump-flows dp1
part removed
ovs-dpctl del-flows dp0
ovs-dpctl del-if dp0 9 10 11 12 13 14 15
ip -o link | grep -o "[a-z0-9]*_sys[_0-9]*"
part refused
ovs-dpctl add-flow dp0 "tunnel(tun_id=0x7),in_port(1)" 1
ovs-dpctl add-if dp0 "b,type=bareudp,dst_port=6635,payload_type=mpls"
ovs-dpctl add-if dp0 "g,type=gtpu"
part made-anew
# A device of the name that is otherwise.
ip link add vxlan_sys_4789 type vxlan id 3 dev u0 dstport 4789
ovs-dpctl add-if dp0 "vx,type=vxlan"
ip -d -o link show vxlan_sys_4789 | grep -o "vxlan external"
part gone-with-it
ovs-dpctl add-if dp0 "g,type=gre"
ovs-dpctl del-dp dp0
ip -o link | grep -o "[a-z0-9_]*_sys[_0-9]*" || true
