use super::*;
use serde_json::json;

const ME: &str = "+4930123456";
const MY_ID: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const ADA: &str = "bbbbbbbb-0000-4000-8000-000000000002";
const GROUP: &str = "Pmpi+EfPWmsxiomLe9Nx2XF9HOE483p6iKiFj65iMwI=";

struct Everybody;

impl Known for Everybody {
    fn is_self(&self, _: Option<&str>, number: Option<&str>, uuid: Option<&str>) -> bool {
        number == Some(ME) || uuid == Some(MY_ID)
    }

    fn name(&self, _: Option<&str>, uuid: Option<&str>) -> Option<String> {
        (uuid == Some(ADA)).then(|| "Ada".to_string())
    }
}

fn from_ada(data: Value) -> Value {
    json!({ "source": "+49151", "sourceNumber": "+4915112345678", "sourceUuid": ADA, "sourceName": "Ada", "sourceDevice": 1,
            "timestamp": 1_700_000_000_001u64, "dataMessage": data })
}

fn read(envelope: Value, note_to_self: bool) -> Option<Kept> {
    let told: Told = serde_json::from_value(json!({ "account": ME, "envelope": envelope })).unwrap();
    told.message(Some(ME), note_to_self, &Everybody)
}

fn data(more: Value) -> Value {
    let mut data =
        json!({ "timestamp": 1_700_000_000_001u64, "message": "hello", "expiresInSeconds": 3600, "viewOnce": false });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    data
}

fn inbound(more: Value) -> Inbound {
    read(from_ada(data(more)), false).unwrap().inbound
}

#[test]
fn a_direct_message() {
    let kept = read(from_ada(data(json!({}))), false).unwrap();
    assert_eq!(
        serde_json::to_value(&kept.inbound).unwrap(),
        json!({
            "channel": "signal", "accountId": ME, "messageId": format!("1700000000001-{ADA}"),
            "from": { "id": ADA, "handle": "+4915112345678", "name": "Ada" },
            "chat": { "id": ADA, "kind": "direct", "title": "Ada" },
            "text": "hello", "mentioned": true, "edited": false, "timestamp": 1_700_000_000_001u64,
        })
    );
    assert_eq!((kept.receipt, kept.files), (Some(1_700_000_000_001), vec![]));
    let mut hidden = from_ada(data(json!({})));
    hidden["sourceNumber"] = Value::Null;
    let hidden = read(hidden, false).unwrap().inbound;
    assert_eq!((hidden.from.id.as_str(), hidden.from.handle), (ADA, None));
    let mut old = from_ada(data(json!({})));
    old["sourceUuid"] = Value::Null;
    assert_eq!(read(old, false).unwrap().inbound.chat.id, "+4915112345678");
}

#[test]
fn a_group_hears_us_when_it_names_or_answers_us() {
    let group = json!({ "groupId": GROUP, "groupName": "Tea", "revision": 3, "type": "DELIVER" });
    let plain = inbound(json!({ "groupInfo": group }));
    assert_eq!(
        (plain.chat.id, plain.chat.kind, plain.chat.title),
        (format!("group:{GROUP}"), "group".into(), Some("Tea".into()))
    );
    assert!(!plain.mentioned);
    let named = inbound(json!({
        "groupInfo": group, "message": "😀 \u{fffc} and \u{fffc}, tea?",
        "mentions": [
            { "name": ME, "number": ME, "uuid": MY_ID, "start": 3, "length": 1 },
            { "name": ADA, "number": null, "uuid": ADA, "start": 9, "length": 1 },
        ],
    }));
    assert_eq!((named.text.as_str(), named.mentioned), ("😀 @+4930123456 and @Ada, tea?", true));
    for (author, mentioned) in [(MY_ID, true), (ADA, false)] {
        let answer = inbound(
            json!({ "groupInfo": group, "quote": { "id": 7, "author": "x", "authorUuid": author, "text": "t", "attachments": [] } }),
        );
        assert_eq!((answer.mentioned, answer.reply_to), (mentioned, Some(format!("7-{author}"))));
    }
    let by_number = inbound(json!({ "groupInfo": group, "quote": { "id": 7, "authorNumber": ME } }));
    assert_eq!((by_number.mentioned, by_number.reply_to), (true, Some(format!("7-{ME}"))));
}

#[test]
fn whom_a_message_begins_with_is_nothing_that_is_said() {
    let said = |message: &str, who: &str| {
        let mention = json!({ "name": who, "uuid": who, "start": 0, "length": 1 });
        inbound(json!({ "groupInfo": { "groupId": GROUP }, "message": message, "mentions": [mention] })).text
    };
    assert_eq!(said("\u{fffc} /new", MY_ID), "/new");
    assert_eq!(said("\u{fffc}: stop", MY_ID), "stop");
    assert_eq!(said("\u{fffc}", MY_ID), format!("@{ME}"));
    assert_eq!(said("\u{fffc} /new", ADA), "@Ada /new");
}

#[test]
fn a_changed_message_says_so() {
    let mut edit = from_ada(Value::Null);
    edit["editMessage"] =
        json!({ "targetSentTimestamp": 5, "dataMessage": data(json!({ "timestamp": 9, "message": "better" })) });
    let edit = read(edit, false).unwrap().inbound;
    assert_eq!((edit.text.as_str(), edit.edited, edit.message_id), ("better", true, format!("9-{ADA}")));
}

#[test]
fn files_are_named_and_fetched_later() {
    let file = json!({ "contentType": "image/png", "filename": "a.png", "id": "x.png", "size": 12, "width": 1, "uploadTimestamp": 1 });
    let kept = read(from_ada(data(json!({ "message": null, "attachments": [file] }))), false).unwrap();
    let expected = File {
        id: Some("x.png".into()),
        content_type: Some("image/png".into()),
        filename: Some("a.png".into()),
        size: Some(12),
    };
    assert_eq!((kept.files, kept.inbound.text.as_str()), (vec![expected], ""));
    assert_eq!(
        inbound(json!({ "message": null, "sticker": { "packId": "p", "stickerId": 1, "emoji": "🫖" } })).text,
        "[a sticker: 🫖]"
    );
    let card = json!({ "name": { "display": "Eve" }, "phone": [{ "value": "+4917012345678" }] });
    assert_eq!(inbound(json!({ "message": "", "contacts": [card] })).text, "[a contact: Eve +4917012345678]");
}

#[test]
fn everything_else_is_passed_over() {
    for more in [
        json!({ "message": null }),
        json!({ "message": null, "reaction": { "emoji": "👍", "targetSentTimestamp": 1 } }),
        json!({ "message": null, "remoteDelete": { "timestamp": 1 } }),
        json!({ "message": null, "isExpirationUpdate": true }),
        json!({ "message": null, "groupInfo": { "groupId": GROUP, "type": "UPDATE" } }),
    ] {
        assert_eq!(read(from_ada(data(more.clone())), false), None, "{more}");
    }
    let mut other = from_ada(Value::Null);
    assert_eq!(read(other.clone(), false), None);
    for kind in ["receiptMessage", "typingMessage", "callMessage", "storyMessage"] {
        other[kind] = json!({ "when": 1 });
    }
    assert_eq!(read(other, false), None);
    let mut own = from_ada(data(json!({})));
    own["sourceNumber"] = json!(ME);
    assert_eq!(read(own, true), None, "one's own message, as a message");
    let nobody = json!({ "dataMessage": data(json!({})) });
    assert_eq!(read(nobody, false), None);
}

#[test]
fn what_other_devices_sent_is_heard_only_if_it_is_a_note_to_oneself() {
    let sent = |to: &str| {
        let mut sent = data(json!({ "destinationNumber": to, "destinationUuid": null }));
        sent["destination"] = json!(to);
        json!({ "sourceNumber": ME, "sourceUuid": MY_ID, "sourceName": "Me", "syncMessage": { "sentMessage": sent } })
    };
    assert_eq!(read(sent("+4915112345678"), true), None);
    assert_eq!(read(sent(ME), false), None);
    let note = read(sent(ME), true).unwrap();
    assert_eq!((note.inbound.chat.id.as_str(), note.inbound.text.as_str(), note.receipt), (MY_ID, "hello", None));
    let read_elsewhere = json!({ "sourceNumber": ME, "syncMessage": { "readMessages": [{ "timestamp": 1 }] } });
    assert_eq!(read(read_elsewhere, true), None);
}
