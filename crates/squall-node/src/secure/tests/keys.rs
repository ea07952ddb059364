//! Which key a client accepts.

use super::*;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::fs;

fn server(identity: &Identity) -> SecureServer {
    let config = SecureConfig::new(identity.clone(), Admission::Loopback, transport()).serve(Alpn::FILES);
    SecureServer::bind(config.on("udp://127.0.0.1:0".parse().unwrap())).unwrap()
}

async fn introduce(trust: &Trust, server: &SecureServer) -> Result<Introduced, ConnectError> {
    let client = SecureClient::new(Alpn::FILES, trust.clone(), transport()).deadline(LONG);
    client.connect(&target(server)).await.map(|connected| connected.introduced)
}

#[tokio::test]
async fn a_key_is_remembered_at_first_and_known_then() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = KnownNodes::at(folder.path().join("squall/known_nodes"));
    let (trust, identity) = (Trust::Known(nodes.clone()), identity());
    let server = server(&identity);
    match introduce(&trust, &server).await.unwrap() {
        Introduced::FirstTime { fingerprint, forgotten: None } => {
            assert_eq!(fingerprint, identity.fingerprint())
        }
        other => panic!("{other:?}"),
    }
    let line = format!("{} {}\n", address(&server), identity.fingerprint());
    assert_eq!(fs::read_to_string(nodes.path()).unwrap(), line);
    let introduced = introduce(&trust, &server).await.unwrap();
    assert!(matches!(introduced, Introduced::Known), "{introduced:?}");
    assert_eq!(fs::read_to_string(nodes.path()).unwrap(), line);
}

#[tokio::test]
async fn a_changed_key_is_refused_with_the_way_to_accept_it() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = KnownNodes::at(folder.path().join("known_nodes"));
    let (old, new) = (identity(), identity());
    let server = server(&new);
    nodes.remember(&address(&server).to_string(), old.fingerprint()).unwrap();
    let before = fs::read(nodes.path()).unwrap();
    let refused = introduce(&Trust::Known(nodes.clone()), &server).await.unwrap_err();
    let ConnectError::KeyChanged(changed) = &refused else { panic!("{refused}") };
    assert_eq!((changed.known, changed.shown, changed.line), (old.fingerprint(), new.fingerprint(), 1));
    assert!(
        refused.to_string().contains(&format!("`sed -i.old 1d {}`", nodes.path().display())),
        "{refused}"
    );
    assert_eq!(fs::read(nodes.path()).unwrap(), before);
    assert_eq!(server.counts().admitted, 0);
}

#[tokio::test]
async fn a_pinned_key_is_the_only_one() {
    let (first, second) = (identity(), identity());
    let trust = Trust::Pinned(first.fingerprint());
    let introduced = introduce(&trust, &server(&first)).await.unwrap();
    assert!(matches!(introduced, Introduced::Pinned), "{introduced:?}");
    let refused = introduce(&trust, &server(&second)).await.unwrap_err();
    assert!(matches!(&refused, ConnectError::NotPinned { .. }), "{refused}");
    let shown = refused.to_string();
    assert!(shown.contains(&second.fingerprint().to_string()), "{shown}");
}

#[tokio::test]
async fn who_cannot_remember_a_key_is_told_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // A file in the place of the directory: not even root can write there.
    fs::write(folder.path().join("squall"), "").unwrap();
    let trust = Trust::Known(KnownNodes::at(folder.path().join("squall/known_nodes")));
    let introduced = introduce(&trust, &server(&identity())).await.unwrap();
    let Introduced::FirstTime { forgotten: Some(reason), .. } = introduced else { panic!("{introduced:?}") };
    assert!(reason.to_string().contains("squall"), "{reason}");
}

#[tokio::test]
async fn known_nodes_that_cannot_be_read_are_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let trust = Trust::Known(KnownNodes::at(folder.path()));
    let refused = introduce(&trust, &server(&identity())).await.unwrap_err();
    assert!(matches!(refused, ConnectError::KnownNodes(_)), "{refused}");
}

/// A certificate is public: that somebody shows it says nothing, and the signature of the handshake everything.
#[tokio::test]
async fn who_shows_a_known_certificate_without_its_key_is_refused() {
    let (real, thief) = (identity(), identity());
    let key = any_supported_type(&thief.key()).unwrap();
    let forged = SingleCertAndKey::from(CertifiedKey::new(vec![real.certificate()], key));
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(forged));
    config.alpn_protocols = vec![Alpn::FILES.name().into()];
    let thief = foreign(Arc::new(config.try_into().unwrap()));
    let client =
        SecureClient::new(Alpn::FILES, Trust::Pinned(real.fingerprint()), transport()).deadline(LONG);
    let target = target_of(&thief);
    let (result, refused) =
        tokio::join!(client.connect(&target), async { thief.accept().await.unwrap().await.unwrap_err() });
    let error = result.unwrap_err();
    assert!(matches!(&error, ConnectError::Broken { .. }), "{error}");
    // RFC 8446, 6.2: decrypt_error, for a signature that does not fit.
    assert!(refused.to_string().contains("51"), "{refused}");
}
