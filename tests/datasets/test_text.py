from __future__ import annotations

import json

import pytest

from datasets.text import clean_text, decode_text, mask_bernice, mask_tweet, rewriter, rule_of


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        ("café 😀".encode(), "café 😀"),
        ("café".encode("latin-1"), "café"),
        (b"\x93quoted\x94 it\x92s", "“quoted” it’s"),  # cp1252
        (b"caf\xe9 " + "😀".encode(), "café 😀"),  # both in one text
        (b"\x81\x8d", "\x81\x8d"),  # not in cp1252: Latin-1
        ("😀".encode()[:3] + b" end", "ð\x9f˜ end".replace("\x9f", "Ÿ")),  # a broken emoji
        (b"\xef\xbb\xbfmark", "mark"),
        (b"", ""),
    ],
)
def test_decode_text(raw, text):
    assert decode_text(raw) == text


def test_decode_text_never_raises():
    for first in range(256):
        for second in range(256):
            decode_text(bytes([first, second, 0x41])).encode("utf-8")


def test_clean_text_replaces_half_a_surrogate_pair_only():
    assert clean_text("good \ud83d day") == "good � day"
    assert clean_text("good 😀 day") == "good 😀 day"
    assert clean_text("\ud83d\ude00") == "😀"


@pytest.mark.parametrize(
    ("tweet", "masked"),
    [
        ("@someone look: https://t.co/x now", "@user look: http now"),
        ("@ alone, me@home and (@other)", "@ alone, me@home and (@other)"),  # a word must begin with it
        ("two  blanks\nand a line @a", "two  blanks\nand a line @user"),  # words end at single blanks only
        ("httpd is masked too", "http is masked too"),
        ("", ""),
    ],
)
def test_tweets_are_masked_as_cardiff_nlp_does(tweet, masked):
    assert mask_tweet(tweet) == masked == rewriter("twitter_roberta")(tweet)


def test_bertweets_rule_is_its_tokenizers_own():
    rewrite = rewriter("bertweet")
    assert rewrite("SC has cases @DHEC https://t.co/x via 😢") == "SC has cases @USER HTTPURL via :crying_face:"
    assert rewrite("I can't… it’s") == "I can't ... it's"
    assert rewriter("none")("@a http://b") == "@a http://b"


@pytest.mark.parametrize(
    ("tweet", "written"),
    [
        (
            "RT @Beltrew: Hello from the kids of Zarqa #Jordan… a poor area https://t.co/Ab1",
            "RT @USER : Hello from the kids of Zarqa #Jordan ... a poor area HTTPURL",
        ),
        (
            "They can't cannot, I’m sure it's 5 p.m. &amp; #LOL!!!!!! 😂😂 www.x.com",
            "They can't can not , I 'm sure it 's 5 p.m. & #LOL ! ! ! "
            ":face_with_tears_of_joy: :face_with_tears_of_joy: HTTPURL",
        ),
        (
            "we don't, they'd go & you'll see :-) <3 pic.twitter.com/Ab1",  # only http and www begin a link
            "we do n't , they 'd go & you 'll see :-) <3 pic.twitter.com/Ab1",
        ),
        ("SOOOO GOOD!!! mail me@home.org <user> emoji_92", "SOOOO GOOD ! ! ! mail me@home.org <user> emoji _92"),
    ],
)
def test_tweets_as_bertweet_reads_them(tweet, written):
    assert rewriter("bertweet")(tweet) == written


@pytest.mark.parametrize(
    ("tweet", "written"),
    [
        ("@Beltrew: it's 😂 https://t.co/Ab1?x=1&y=%20!", "@USER: it's 😂 HTTPURL!"),
        ("mail me@home.org, @ alone, www.x.com", "mail me@USER.org, @ alone, www.x.com"),
        ("http://a.b/c http://", "HTTPURL http://"),
    ],
)
def test_tweets_as_bernice_reads_them(tweet, written):
    assert mask_bernice(tweet) == written == rewriter("bernice")(tweet)


def test_the_rule_of_a_text_net(tmp_path):
    assert rule_of("cardiffnlp/twitter-roberta-base-sentiment-latest") == "twitter_roberta"
    assert rule_of("cardiffnlp/twitter-xlm-roberta-base") == "twitter_roberta"
    assert rule_of("vinai/bertweet-large") == "bertweet"
    assert rule_of("jhu-clsp/bernice") == "bernice"
    assert rule_of("FacebookAI/roberta-base") == rule_of("small") == rule_of(str(tmp_path)) == "none"
    for said, rule in (("bertweet", "bertweet"), ("unheard of", "none")):
        (tmp_path / "config.json").write_text(json.dumps({"text_rule": said}))
        assert rule_of(str(tmp_path)) == rule


def test_the_rule_of_weights_in_a_folder(tmp_path):
    folder = tmp_path / "weights"
    named = tmp_path / "bertweet-base"
    for place in (folder, named):
        place.mkdir()
        (place / "config.json").write_text("{}")
    assert rule_of(str(folder)) == "none"
    assert rule_of(str(folder), "vinai/bertweet-base") == "bertweet"
    assert rule_of(f"{named}/") == "bertweet"
    (named / "config.json").write_text(json.dumps({"text_rule": "none"}))  # what it says counts more than its name
    assert rule_of(str(named), "vinai/bertweet-base") == "none"
