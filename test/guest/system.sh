# A bridge of ours over openvswitch.ko, in a guest. Each part says its name; what it prints is judged by kernel.test.ts.
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

for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done
start
ovs-vsctl add-br br0
for n in 1 2 3; do
  host h$n 10.0.0.$n/24
  for f in all default h$n; do in_host h$n sh -c "echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6"; done
done
ovs-vsctl add-port br0 h1-p -- add-port br0 h2-p -- add-port br0 h3-p tag=10
# What is looked at is there however long that takes.
ovs-vsctl set open . other_config:max-idle=600000
ip addr add 10.0.0.9/24 dev br0
ip link set br0 up

part status
ovs-vsctl get bridge br0 status
part ports
ovs-appctl dpctl/show
part ping
in_host h1 ping -c 8 -i 0.2 -W 30 10.0.0.2
part ping-internal
in_host h1 ping -c 2 -i 0.2 -W 30 10.0.0.9
part ping-other-vlan
in_host h1 ping -c 1 -W 1 10.0.0.3
part flows
ovs-appctl dpctl/dump-flows
part dpctl-flows
ovs-dpctl dump-dps
ovs-dpctl show
ovs-dpctl dump-flows
ovs-dpctl --names -m dump-flows system@ovs-system filter=icmp
part tcp
mkdir -p /tmp/www
head -c 8000000 /dev/urandom >/tmp/www/sent
in_host h2 httpd -p 80 -h /tmp/www
in_host h1 wget -q -O /tmp/got http://10.0.0.2/sent
md5sum /tmp/www/sent /tmp/got
part vlan
ip -n h2 link add link h2 name h2.10 type vlan id 10
ip -n h2 addr add 10.1.0.2/24 dev h2.10
ip -n h2 link set h2.10 up
ip -n h3 addr add 10.1.0.3/24 dev h3
in_host h3 ping -c 4 -i 0.2 -W 30 10.1.0.2
part vlan-flows
ovs-appctl dpctl/dump-flows
part arp-responder
# The kernel sets no ARP fields: that is done in userspace.
ovs-ofctl add-flow br0 "priority=100,arp,arp_op=1,arp_tpa=10.0.0.77,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],\
mod_dl_src:02:00:00:00:00:77,load:2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],load:0x020000000077->NXM_NX_ARP_SHA[],\
move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],load:0x0a00004d->NXM_OF_ARP_SPA[],in_port"
in_host h1 ping -c 1 -W 10 10.0.0.77
ip -n h1 neigh show 10.0.0.77
part left-alone
# The daemon is killed: what is known goes on.
kill -9 $(cat /run/ovs-vswitchd.pid)
in_host h1 ping -c 4 -i 0.2 -W 30 10.0.0.2
ovs-dpctl dump-flows
part taken-over
start
in_host h1 ping -c 4 -i 0.2 -W 30 10.0.0.2
ovs-appctl dpctl/show
ovs-appctl dpctl/dump-flows
part port-gone
ovs-vsctl del-port h3-p
ovs-appctl dpctl/show
part firewall
for what in icmp_timeout tcp_timeout_time_wait; do echo 600 >/proc/sys/net/netfilter/nf_conntrack_$what; done
# Who is in front of it may ask, and who is behind may answer.
ovs-ofctl add-flows br0 - <<X
table=0,priority=50,ip,in_port=1,ct_state=-trk,actions=ct(table=1,zone=7)
table=0,priority=50,ip,in_port=2,ct_state=-trk,actions=ct(table=1,zone=7)
table=1,ip,ct_state=+trk+new,in_port=1,actions=ct(commit,zone=7,exec(load:5->NXM_NX_CT_MARK[])),output:2
table=1,ip,ct_state=+trk+est,ct_mark=5,in_port=1,actions=output:2
table=1,ip,ct_state=+trk+est,ct_mark=5,in_port=2,actions=output:1
X
in_host h1 ping -c 4 -i 0.2 -W 30 10.0.0.2
ovs-dpctl dump-flows
part conntrack
in_host h1 wget -q -O /tmp/got http://10.0.0.2/sent
ovs-appctl dpctl/dump-conntrack zone=7
ovs-dpctl -m -s dump-conntrack system@ovs-system zone=7
ovs-appctl dpctl/dump-conntrack ovs-system zone=8
ovs-appctl dpctl/ct-stats-show -m zone=7
ovs-appctl dpctl/ct-set-limits default=10 zone=7,limit=300
ovs-dpctl ct-get-limits zone=7
ovs-appctl dpctl/ct-del-limits default zone=7
ovs-appctl dpctl/ct-get-limits
part conntrack-flushed
id=$(ovs-dpctl dump-conntrack zone=7 | sed -n 's/^icmp,orig=([^)]*,id=\([0-9]*\),.*/\1/p')
ovs-dpctl flush-conntrack zone=7 "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=1,icmp_id=$id,icmp_type=8,icmp_code=0"
ovs-dpctl dump-conntrack
ovs-dpctl flush-conntrack zone=8
ovs-dpctl flush-conntrack mark=6/7
ovs-appctl dpctl/ct-stats-show
ovs-dpctl flush-conntrack zone=7 mark=1/1
ovs-appctl dpctl/ct-stats-show
part conntrack-lacks
ovs-appctl dpctl/ct-get-maxconns
ovs-dpctl ct-get-nconns
ovs-dpctl ipf-set-min-frag v4 1000
ovs-appctl dpctl/ct-bkts
ovs-dpctl flush-conntrack "ct_tp_src=5"
part firewall-behind
in_host h2 ping -c 2 -i 0.2 -W 1 10.0.0.1
ovs-ofctl del-flows br0 ip
part cleaned-up
ovs-appctl exit --cleanup
sleep 1
ip -o link | sed 's/^[0-9]*: //; s/[:@].*//'
part by-hand
# No daemon at all.
ovs-dpctl add-dp dp0 h1-p h2-p,port_no=7
ovs-dpctl add-dp dp0
ovs-dpctl add-if dp0 nothing
ovs-dpctl add-flow dp0 "in_port(1)" 7
ovs-dpctl add-flow dp0 "in_port(7),eth(dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806)" 1
ovs-dpctl add-flow dp0 "in_port(7),eth(),eth_type(0x0800),ipv4(src=10.0.0.2,proto=1)" "set(ipv4(ttl=9)),1"
ovs-dpctl add-flow dp0 "in_port(1)" 7
ip -n h2 neigh replace 10.0.0.1 lladdr $(in_host h1 cat /sys/class/net/h1/address) dev h2
ip -n h1 neigh replace 10.0.0.2 lladdr $(in_host h2 cat /sys/class/net/h2/address) dev h1
in_host h1 ping -c 3 -i 0.2 -W 30 10.0.0.2
ovs-dpctl dump-flows dp0
part by-hand-changes
ovs-dpctl mod-flow dp0 "in_port(1)" drop
ovs-dpctl del-flow dp0 "in_port(7),eth(dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806)"
ovs-dpctl dump-flows
ovs-dpctl del-flows dp0
ovs-dpctl del-if dp0 7
ovs-dpctl -s show dp0
ovs-dpctl cache-get-size
ovs-dpctl cache-set-size dp0 masks-cache 0
ovs-dpctl cache-set-size dp0 masks-cache 80000
ovs-dpctl ct-set-limits default=10 zone=5,limit=3
ovs-dpctl ct-get-limits
ovs-dpctl ct-del-limits zone=5
ovs-dpctl ct-get-limits zone=5
part tunnel
# To a plain VXLAN device of Linux, in h2.
ip addr add 10.9.0.1/24 dev h2-p
ip -n h2 addr add 10.9.0.2/24 dev h2
ip -n h2 link add vx type vxlan id 5 remote 10.9.0.1 dev h2 dstport 4789
ip -n h2 addr add 10.8.0.2/24 dev vx
ip -n h2 link set vx up
ip -n h1 addr add 10.8.0.1/24 dev h1
ovs-dpctl add-if dp0 vxlan_sys_4789,type=vxlan,port_no=9,dst_port=4789
ovs-dpctl add-flow dp0 "in_port(1)" "set(tunnel(tun_id=0x5,dst=10.9.0.2,ttl=64,tp_dst=4789,flags(df|key))),9"
ovs-dpctl add-flow dp0 "tunnel(tun_id=0x5,src=10.9.0.2,dst=10.9.0.1),in_port(9)" 1
in_host h1 ping -c 3 -i 0.2 -W 30 10.8.0.2
ovs-dpctl dump-flows dp0
ovs-dpctl del-dp dp0
ovs-dpctl del-dp dp0
part log
cat /run/up.log
