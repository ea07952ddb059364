//! Which key a client accepts.

use super::*;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::fs;

/// Connects to a server with this key at an address that it is asked for, and tells what came of it.
async fn meet(identity: &Identity, trust: &Trust, port: u16) -> Result<(Introduced, u16), ConnectError> {
    let uri = format!("udp://127.0.0.1:{port}").parse().unwrap();
    let config = SecureConfig::new(identity.clone(), Admission::Loopback, transport());
    let server = SecureServer::bind(config.serve(Alpn::FILES).on(uri)).unwrap();
    let port = address(&server).port();
    let client = SecureClient::new(Alpn::FILES, trust.clone(), transport()).deadline(LONG);
    let introduced = client.connect(&target(&server)).await.map(|connected| connected.introduced);
    server.close(Parting::Stopping);
    server.wait_idle().await;
    Ok((introduced?, port))
}

#[tokio::test]
async fn a_key_is_remembered_at_first_known_then_and_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = KnownNodes::at(folder.path().join("squall/known_nodes"));
    let (trust, first, second) = (Trust::Known(nodes.clone()), identity(), identity());
    let (introduced, port) = meet(&first, &trust, 0).await.unwrap();
    match introduced {
        Introduced::FirstTime { fingerprint, forgotten: None } => {
            assert_eq!(fingerprint, first.fingerprint())
        }
        other => panic!("{other:?}"),
    }
    let line = format!("127.0.0.1:{port} {}\n", first.fingerprint());
    assert_eq!(fs::read_to_string(nodes.path()).unwrap(), line);
    let (introduced, _) = meet(&first, &trust, port).await.unwrap();
    assert!(matches!(introduced, Introduced::Known), "{introduced:?}");
    let refused = meet(&second, &trust, port).await.unwrap_err();
    let ConnectError::KeyChanged(changed) = &refused else { panic!("{refused}") };
    assert_eq!((changed.known, changed.shown, changed.line), (first.fingerprint(), second.fingerprint(), 1));
    assert!(
        refused.to_string().contains(&format!("`sed -i.old 1d {}`", nodes.path().display())),
        "{refused}"
    );
    assert_eq!(fs::read_to_string(nodes.path()).unwrap(), line, "and stays as it was");
}

#[tokio::test]
async fn a_pinned_key_is_the_only_one_whatever_is_known() {
    let (first, second) = (identity(), identity());
    let trust = Trust::Pinned(first.fingerprint());
    let (introduced, port) = meet(&first, &trust, 0).await.unwrap();
    assert!(matches!(introduced, Introduced::Pinned), "{introduced:?}");
    let refused = meet(&second, &trust, port).await.unwrap_err();
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
    let (introduced, _) = meet(&identity(), &trust, 0).await.unwrap();
    let Introduced::FirstTime { forgotten: Some(reason), .. } = introduced else { panic!("{introduced:?}") };
    assert!(reason.to_string().contains("squall"), "{reason}");
}

#[tokio::test]
async fn known_nodes_that_cannot_be_read_are_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let trust = Trust::Known(KnownNodes::at(folder.path()));
    let refused = meet(&identity(), &trust, 0).await.unwrap_err();
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
