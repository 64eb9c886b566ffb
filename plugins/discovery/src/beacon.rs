//! The announcement on the network. The responder has a thread of its own, which lives as long as something is announced.

use std::net::IpAddr;

use mdns_sd::{DaemonEvent, IfKind, Receiver, ServiceDaemon, ServiceInfo};

use crate::announcement::{Announcement, BRANDS};

/// What happens to an announcement.
pub type Events = Receiver<DaemonEvent>;

/// Something is announced as long as this lives. [`Beacon::go_out`] says goodbye and waits until that is sent.
pub struct Beacon(ServiceDaemon);

impl Beacon {
    /// Begins to announce. Whether anybody can hear it shows in the events.
    pub fn light(announcement: &Announcement) -> mdns_sd::Result<(Self, Events)> {
        let beacon = Beacon(ServiceDaemon::new()?);
        let daemon = &beacon.0;
        let events = daemon.monitor()?;
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(interfaces(announcement))?;
        if announcement.interfaces.is_empty() && is_anywhere(announcement) {
            daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        }
        beacon.show(announcement)?;
        Ok((beacon, events))
    }

    /// Announces it, in the place of what the same name stood for before.
    pub fn show(&self, announcement: &Announcement) -> mdns_sd::Result<()> {
        for (kind, brand) in BRANDS {
            let anywhere = is_anywhere(announcement);
            let addresses = if anywhere { &[][..] } else { &announcement.addresses };
            let service = ServiceInfo::new(
                kind,
                &format!("{} ({brand})", announcement.name),
                &format!("{}.", announcement.host),
                addresses,
                announcement.port,
                &announcement.facts()[..],
            )?;
            self.0.register(if anywhere { service.enable_addr_auto() } else { service })?;
        }
        Ok(())
    }

    /// Says goodbye. When this returns the responder has ended.
    pub async fn go_out(self) {
        if let Ok(ended) = self.0.shutdown() {
            let _ = ended.recv_async().await;
        }
    }
}

impl Drop for Beacon {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let _ = self.0.shutdown();
    }
}

/// Where it is announced: on the interfaces it listens on, or on those that the configuration names.
fn interfaces(announcement: &Announcement) -> Vec<IfKind> {
    if !announcement.interfaces.is_empty() {
        return announcement.interfaces.iter().cloned().map(IfKind::Name).collect();
    }
    let kind = |address: &IpAddr| match address {
        IpAddr::V4(ip) if ip.is_unspecified() => IfKind::IPv4,
        // Linux takes IPv4 on this address as well, and a machine without IPv6 has no such address.
        IpAddr::V6(ip) if ip.is_unspecified() => IfKind::All,
        specific => IfKind::Addr(*specific),
    };
    announcement.addresses.iter().map(kind).collect()
}

/// Whether it listens on whatever addresses the machine has.
fn is_anywhere(announcement: &Announcement) -> bool {
    announcement.addresses.iter().any(IpAddr::is_unspecified)
}
