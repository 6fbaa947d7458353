/** The texts in man/, taken into the executable. */
import ovsActions7 from "../../man/ovs-actions.7.md" with { type: "text" };
import ovsAppctl8 from "../../man/ovs-appctl.8.md" with { type: "text" };
import ovsBrcompatd8 from "../../man/ovs-brcompatd.8.md" with { type: "text" };
import ovsBrctl8 from "../../man/ovs-brctl.8.md" with { type: "text" };
import ovsCtl8 from "../../man/ovs-ctl.8.md" with { type: "text" };
import ovsDpctl8 from "../../man/ovs-dpctl.8.md" with { type: "text" };
import ovsFields7 from "../../man/ovs-fields.7.md" with { type: "text" };
import ovsOfctl8 from "../../man/ovs-ofctl.8.md" with { type: "text" };
import ovsPcap1 from "../../man/ovs-pcap.1.md" with { type: "text" };
import ovsPki8 from "../../man/ovs-pki.8.md" with { type: "text" };
import ovsSave8 from "../../man/ovs-save.8.md" with { type: "text" };
import ovsTestcontroller8 from "../../man/ovs-testcontroller.8.md" with { type: "text" };
import ovsVsctl8 from "../../man/ovs-vsctl.8.md" with { type: "text" };
import ovsVswitchd8 from "../../man/ovs-vswitchd.8.md" with { type: "text" };
import ovsVswitchdConfDb5 from "../../man/ovs-vswitchd.conf.db.5.md" with { type: "text" };
import ovsbox1 from "../../man/ovsbox.1.md" with { type: "text" };
import ovsboxCollect1 from "../../man/ovsbox-collect.1.md" with { type: "text" };
import ovsboxCompletion1 from "../../man/ovsbox-completion.1.md" with { type: "text" };
import ovsboxDoctor1 from "../../man/ovsbox-doctor.1.md" with { type: "text" };
import ovsboxHelp1 from "../../man/ovsbox-help.1.md" with { type: "text" };
import ovsboxMan1 from "../../man/ovsbox-man.1.md" with { type: "text" };
import ovsboxSnmp1 from "../../man/ovsbox-snmp.1.md" with { type: "text" };
import ovsboxTop1 from "../../man/ovsbox-top.1.md" with { type: "text" };
import ovsboxUp1 from "../../man/ovsbox-up.1.md" with { type: "text" };
import ovsdbClient1 from "../../man/ovsdb-client.1.md" with { type: "text" };
import ovsdbServer1 from "../../man/ovsdb-server.1.md" with { type: "text" };
import ovsdbTool1 from "../../man/ovsdb-tool.1.md" with { type: "text" };
import ovsdbmonitor1 from "../../man/ovsdbmonitor.1.md" with { type: "text" };
import vtep5 from "../../man/vtep.5.md" with { type: "text" };
import vtepCtl8 from "../../man/vtep-ctl.8.md" with { type: "text" };

/** By the name of the file, without ".md". */
export const SOURCES: Readonly<Record<string, string>> = {
  "ovs-actions.7": ovsActions7,
  "ovs-appctl.8": ovsAppctl8,
  "ovs-brcompatd.8": ovsBrcompatd8,
  "ovs-brctl.8": ovsBrctl8,
  "ovs-ctl.8": ovsCtl8,
  "ovs-dpctl.8": ovsDpctl8,
  "ovs-fields.7": ovsFields7,
  "ovs-ofctl.8": ovsOfctl8,
  "ovs-pcap.1": ovsPcap1,
  "ovs-pki.8": ovsPki8,
  "ovs-save.8": ovsSave8,
  "ovs-testcontroller.8": ovsTestcontroller8,
  "ovs-vsctl.8": ovsVsctl8,
  "ovs-vswitchd.8": ovsVswitchd8,
  "ovs-vswitchd.conf.db.5": ovsVswitchdConfDb5,
  "ovsbox-collect.1": ovsboxCollect1,
  "ovsbox-completion.1": ovsboxCompletion1,
  "ovsbox-doctor.1": ovsboxDoctor1,
  "ovsbox-help.1": ovsboxHelp1,
  "ovsbox-man.1": ovsboxMan1,
  "ovsbox-snmp.1": ovsboxSnmp1,
  "ovsbox-top.1": ovsboxTop1,
  "ovsbox-up.1": ovsboxUp1,
  "ovsbox.1": ovsbox1,
  "ovsdb-client.1": ovsdbClient1,
  "ovsdb-server.1": ovsdbServer1,
  "ovsdb-tool.1": ovsdbTool1,
  "ovsdbmonitor.1": ovsdbmonitor1,
  "vtep-ctl.8": vtepCtl8,
  "vtep.5": vtep5,
};
