use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::*;

struct Said(Vec<Entry<'static>>);

impl Transcript for Said {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Entry<'_> {
        self.0[index].clone()
    }
}

/// 2026-11-20T19:30Z.
const EVENING: i64 = 1_795_203_000_000;

fn said(id: u64, minute: i64, name: &'static str, text: &'static str) -> Entry<'static> {
    let kind = Kind::Said { name: name.into(), text: text.into(), receipt: None, was_missed: false };
    Entry { id, at: EVENING + minute * 60_000, kind }
}

fn own(id: u64, text: &'static str, receipt: Receipt<'static>) -> Entry<'static> {
    let kind =
        Kind::Said { name: "bob".into(), text: text.into(), receipt: Some(receipt), was_missed: false };
    Entry { id, at: EVENING + 120_000, kind }
}

fn member(name: &str, is_present: bool, loss: Option<f32>) -> Member {
    Member { name: name.to_owned(), is_self: name == "bob", is_present, loss }
}

fn online() -> Connection {
    Connection::Online { round_trip: Some(Duration::from_micros(420)), loss: Some(0.0) }
}

/// A screen, what it shows, and a terminal.
struct Show {
    screen: Screen,
    transcript: Said,
    members: Vec<Member>,
    rooms: Vec<Room>,
    connection: Connection,
    terminal: Terminal<TestBackend>,
}

impl Show {
    fn new(columns: u16, rows: u16) -> Self {
        Self {
            screen: Screen::new(Palette::new(true), TimeZone::UTC),
            transcript: Said(Vec::new()),
            members: Vec::new(),
            rooms: Vec::new(),
            connection: online(),
            terminal: Terminal::new(TestBackend::new(columns, rows)).unwrap(),
        }
    }

    fn conversation(columns: u16, rows: u16) -> Self {
        let mut show = Self::new(columns, rows);
        show.transcript.0 = vec![
            said(1, -20 * 60, "alice", "good evening everybody"),
            said(2, 0, "alice", "has anybody seen the weather? It rains as if it had been asked to"),
            own(3, "yes", Receipt::Delivered),
            own(4, "and it is late", Receipt::Pending),
            Entry { id: 5, at: EVENING + 180_000, kind: Kind::Notice("carol came".into()) },
            said(6, 4, "你好", "雨"),
        ];
        show.members = vec![
            member("alice", true, Some(0.0)),
            member("bob", true, None),
            member("carol", false, Some(0.124)),
        ];
        show.rooms = vec![
            Room { name: "lobby".into(), members: 3, is_current: true, unread: 0 },
            Room { name: "dev".into(), members: 2, is_current: false, unread: 7 },
        ];
        show
    }

    fn draw(&mut self) -> String {
        let Self { screen, terminal, .. } = self;
        let sight = Sight {
            hub: "udp://127.0.0.1:9999",
            room: "lobby",
            name: Some("bob"),
            connection: self.connection.clone(),
            members: &self.members,
            more_members: 0,
            rooms: &self.rooms,
            transcript: &self.transcript,
        };
        terminal.draw(|frame| screen.draw(frame, &sight)).unwrap();
        let buffer = terminal.backend().buffer();
        let columns = usize::from(buffer.area.width);
        let rows = buffer.content.chunks(columns.max(1)).map(|row| {
            let mut text = String::new();
            let mut skip = 0;
            for cell in row {
                if skip == 0 {
                    text.push_str(cell.symbol());
                    skip = wrap::width(cell.symbol()).max(1);
                }
                skip -= 1;
            }
            text.trim_end().to_owned()
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    fn press(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Option<Action> {
        let sight = Sight {
            hub: "",
            room: "lobby",
            name: Some("bob"),
            connection: self.connection.clone(),
            members: &self.members,
            more_members: 0,
            rooms: &self.rooms,
            transcript: &self.transcript,
        };
        self.screen.key(KeyEvent::new(code, modifiers), &sight, &["/join", "/name"])
    }

    fn type_text(&mut self, text: &str) {
        for character in text.chars() {
            assert_eq!(self.press(KeyCode::Char(character), KeyModifiers::NONE), None);
        }
    }
}

#[test]
fn a_wide_terminal_shows_messages_members_and_rooms() {
    assert_eq!(
        Show::conversation(80, 16).draw(),
        "\x20#lobby  bob                                               udp://127.0.0.1:9999
                                                        │ 3 here
                                                        │ ● alice            0 %
                                                        │ ● bob
                                                        │ ○ carol           12 %
23:30       alice  good evening everybody               │
── Friday 20 November 2026 ─────────────────────────────│
19:30       alice  has anybody seen the weather? It     │
                   rains as if it had been asked to     │
19:32 ✓       bob  yes                                  │
19:32 …       bob  and it is late                       │ rooms
19:33              carol came                           │ ▸ lobby              3
19:34        你好  雨                                   │ • dev            7 new
────────────────────────────────────────────────────────┴───────────────────────
>
 ● online · 0.4 ms · 0 % lost              Tab completes · PgUp scrolls · /help"
    );
}

#[test]
fn a_narrow_one_shows_messages_and_how_it_stands() {
    assert_eq!(
        Show::conversation(34, 12).draw(),
        "\x20#lobby  bob
── Friday 20 November 2026 ───────
19:30   alice: has anybody seen
the weather? It rains as if it had
been asked to
19:32 ✓ bob: yes
19:32 … bob: and it is late
19:33   carol came
19:34   你好: 雨
──────────────────────────────────
>
 ● online · 0.4 ms · 0 % lost"
    );
}

#[test]
fn the_smallest_ones_still_can_be_used() {
    let mut show = Show::conversation(20, 5);
    show.type_text("hello");
    assert_eq!(
        show.draw(),
        "\x20#lobby  bob
carol came
你好: 雨
> hello
 ● online · 0.4 ms …"
    );
    for (columns, rows) in [(1, 1), (2, 1), (1, 9), (3, 2), (200, 1), (0, 0), (64, 3), (19, 4)] {
        let mut show = Show::conversation(columns, rows);
        show.type_text("hello 你好 again");
        show.draw();
        show.screen.scroll(-3, &sight(&show.transcript));
        show.draw();
    }
}

fn sight(transcript: &Said) -> Sight<'_> {
    Sight {
        hub: "",
        room: "",
        name: None,
        connection: online(),
        members: &[],
        more_members: 0,
        rooms: &[],
        transcript,
    }
}

#[test]
fn what_comes_while_reading_further_up_is_counted_and_marked() {
    let mut show = Show::new(40, 10);
    show.transcript.0 = (0..20).map(|id| said(id, 0, "alice", "word")).collect();
    show.draw();
    assert_eq!(show.press(KeyCode::PageUp, KeyModifiers::NONE), None);
    let before = show.draw();
    show.transcript.0.push(said(77, 1, "carol", "the first new one"));
    show.transcript.0.push(said(78, 1, "carol", "the second"));
    assert!(!show.screen.heard(77, "the first new one", Some("bob")));
    assert!(!show.screen.heard(78, "the second", Some("bob")));
    let after = show.draw();
    let messages = |shown: &str| shown.lines().skip(1).take(6).map(String::from).collect::<Vec<_>>();
    assert_eq!(messages(&before), messages(&after));
    assert!(after.contains("─ ↓ 2 new · Esc ─"), "{after}");
    show.press(KeyCode::Esc, KeyModifiers::NONE);
    let shown = show.draw();
    assert!(
        shown.contains("── new ─────────────────────────────────\n19:31   carol: the first new one\n19:31   carol: the second\n"),
        "{shown}"
    );
    // It stays until the user says something.
    show.type_text("I see");
    assert_eq!(show.press(KeyCode::Enter, KeyModifiers::NONE), Some(Action::Send("I see".into())));
    assert!(!show.draw().contains("── new"));
}

#[test]
fn a_window_that_shows_the_end_is_at_the_end_and_one_within_an_entry_says_that_there_is_more() {
    let mut show = Show::new(20, 5);
    show.transcript.0 = vec![said(1, 0, "alice", "one two three four five six seven eight nine ten")];
    show.draw();
    show.press(KeyCode::PageUp, KeyModifiers::NONE);
    let shown = show.draw();
    assert!(shown.contains("↓ more · Esc"), "{shown}");
    show.terminal.backend_mut().resize(60, 16);
    let shown = show.draw();
    assert!(!shown.contains("Esc"), "{shown}");
    show.transcript.0.extend((2..30).map(|id| said(id, 0, "alice", "word")));
    assert!(!show.draw().contains("Esc"), "it does not follow what comes");
}

#[test]
fn no_room_is_shown_before_one_is_known() {
    let (transcript, mut show) = (Said(Vec::new()), Show::new(70, 8));
    let Show { screen, terminal, .. } = &mut show;
    terminal.draw(|frame| screen.draw(frame, &sight(&transcript))).unwrap();
    let shown: String = terminal.backend().buffer().content.iter().map(|cell| cell.symbol()).collect();
    assert!(!shown.contains('#') && !shown.contains("here"), "{shown}");
}

#[test]
fn what_comes_while_the_user_looks_elsewhere_is_marked_and_calls_them_by_name() {
    let mut show = Show::new(40, 10);
    show.transcript.0 = vec![said(1, 0, "alice", "seen")];
    assert!(!show.screen.heard(1, "Bob, you are here", Some("bob")));
    assert!(!show.draw().contains("new"));
    show.screen.focus(false);
    for (id, text, is_called) in [(2, "hello", false), (3, "Bob, are you there?", true), (4, "bobbin", false)]
    {
        show.transcript.0.push(said(id, 0, "alice", text));
        assert_eq!(show.screen.heard(id, text, Some("bob")), is_called, "{text}");
    }
    show.screen.focus(true);
    assert!(show.draw().contains("── new ─────────────────────────────────\n19:30   alice: hello\n"));
    // The next time it stands before what is new then.
    show.screen.focus(false);
    show.transcript.0.push(said(5, 0, "alice", "later"));
    show.screen.heard(5, "later", Some("bob"));
    let shown = show.draw();
    assert!(shown.contains("── new ─────────────────────────────────\n19:30   alice: later\n"), "{shown}");
    assert_eq!(shown.matches("new").count(), 1);
}

#[test]
fn nothing_that_a_hub_says_reaches_the_terminal_as_it_is() {
    let mut show = Show::new(80, 12);
    let evil = "a\x1b[2J\u{202e}\x07\r\nb";
    show.transcript.0 = vec![
        said(1, 0, evil, evil),
        Entry { id: 2, at: i64::MAX, kind: Kind::Notice(evil.into()) },
        own(3, evil, Receipt::Refused(evil.into())),
    ];
    show.members = vec![member(evil, true, None)];
    show.rooms = vec![Room { name: evil.into(), ..Room::default() }, Room::default()];
    show.connection = Connection::Gone { why: evil.into(), next: None };
    let shown = show.draw();
    assert!(!shown.contains(['\x1b', '\u{202e}', '\x07', '\r']), "{shown:?}");
    assert!(shown.contains(r"a\x1b[2J\u{202e}\x07\x0d\x0ab"), "{shown}");
}

#[test]
fn the_status_line_tells_how_it_stands_with_the_hub() {
    let seconds = Duration::from_secs;
    let table = [
        (Connection::Connecting { attempt: 1, next: None }, "◌ connecting"),
        (
            Connection::Connecting { attempt: 3, next: Some(Duration::from_millis(3100)) },
            "◌ no answer to 3 tries, again in 4 s",
        ),
        (Connection::Online { round_trip: Some(Duration::from_millis(48)), loss: None }, "● online · 48 ms"),
        (
            Connection::Online { round_trip: Some(Duration::from_millis(2)), loss: Some(0.031) },
            "● online · 2.0 ms · 3.1 % lost",
        ),
        (Connection::Quiet { since: seconds(12) }, "◐ nothing heard for 12 s"),
        (
            Connection::Gone { why: "the hub shut down".into(), next: Some(seconds(4)) },
            "○ again in 4 s · the hub shut down",
        ),
        // Where there is no room for all of it, the reason is cut.
        (
            Connection::Gone { why: "no such host, or so somebody says ".repeat(3), next: Some(seconds(4)) },
            "○ again in 4 s · no such host, or so somebody sa…",
        ),
    ];
    for (connection, expected) in table {
        let mut show = Show::new(50, 8);
        show.connection = connection;
        assert_eq!(show.draw().lines().last().unwrap().trim(), expected);
    }
}

#[test]
fn what_is_written_grows_to_a_third_and_keeps_the_cursor_in_sight() {
    let mut show = Show::new(20, 9);
    show.screen.paste("one\r\ntwo\nthree\nfour");
    let shown = show.draw();
    let rows: Vec<&str> = shown.lines().collect();
    assert_eq!(rows[5..8], ["  two", "  three", "  four"]);
    show.terminal.backend_mut().assert_cursor_position((6, 7));
    for _ in 0..3 {
        show.press(KeyCode::Up, KeyModifiers::NONE);
    }
    let shown = show.draw();
    assert_eq!(shown.lines().nth(5), Some("> one"));
    show.terminal.backend_mut().assert_cursor_position((5, 5));
}

#[test]
fn completion_shows_what_there_is_to_choose_from() {
    let mut show = Show::conversation(80, 16);
    show.members.push(member("anna", true, None));
    show.type_text("a");
    show.press(KeyCode::Tab, KeyModifiers::NONE);
    assert!(show.draw().ends_with("\n> alice,\n alice  anna"));
    show.press(KeyCode::Tab, KeyModifiers::NONE);
    assert!(show.draw().contains("\n> anna,\n"));
    show.type_text("hi");
    assert!(show.draw().contains("online"));
}

#[test]
fn keys_leave_suspend_and_send_and_what_is_empty_is_not_sent() {
    let mut show = Show::new(40, 10);
    show.draw();
    assert_eq!(show.press(KeyCode::Char('d'), KeyModifiers::CONTROL), Some(Action::Leave));
    assert_eq!(show.press(KeyCode::Enter, KeyModifiers::NONE), None);
    show.type_text("  ");
    assert_eq!(show.press(KeyCode::Enter, KeyModifiers::NONE), None);
    show.type_text("ab");
    show.press(KeyCode::Left, KeyModifiers::NONE);
    assert_eq!(show.press(KeyCode::Char('d'), KeyModifiers::CONTROL), None);
    show.press(KeyCode::Char('j'), KeyModifiers::CONTROL);
    show.type_text("c");
    assert_eq!(show.press(KeyCode::Enter, KeyModifiers::NONE), Some(Action::Send("a\nc".into())));
    show.press(KeyCode::Up, KeyModifiers::NONE);
    assert!(show.draw().contains("> a\n  c"));
    assert_eq!(show.press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Action::Leave));
    assert_eq!(show.press(KeyCode::Char('z'), KeyModifiers::CONTROL), Some(Action::Suspend));
}

#[test]
fn names_keep_their_colours_and_have_none_where_none_is_wanted() {
    let colours = |palette: Palette| {
        let mut show = Show::conversation(80, 16);
        show.screen.palette = palette;
        show.draw();
        let cells = &show.terminal.backend().buffer().content;
        cells.iter().map(|cell| cell.fg).filter(|colour| *colour != Color::Reset).count()
    };
    assert!(colours(Palette::new(true)) > 0);
    assert_eq!(colours(Palette::new(false)), 0);
    assert_eq!(Palette::new(true).name("alice"), Palette::new(true).name("alice"));
    assert_ne!(Palette::new(true).name("alice"), Palette::new(true).name("bob"));
}

#[test]
fn a_terminal_of_one_row_has_room_for_what_is_being_written_alone() {
    assert_eq!(Show::conversation(40, 1).draw().trim_end(), ">");
}
