"""Words of ASCII text against rouge-score's own, words of other scripts against what their readers see."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from tuneoff.words import sentences, spaced, stems, words

LIBRARY = DefaultTokenizer(use_stemmer=True)
ASCII = st.text(st.characters(max_codepoint=127))


@pytest.mark.slow
@given(
    ASCII | st.lists(st.sampled_from(["Running", "ran", "it's", "x_y", "3.5", "\t", "flies"])).map(" ".join)
)
def test_stems_of_ascii_text_are_those_of_rouge_score(text: str) -> None:
    assert stems(text) == LIBRARY.tokenize(text)


@given(ASCII)
def test_typographic_signs_in_english_change_no_word(text: str) -> None:
    assert stems(f"{text} “so” – it’s ☂ ™ …") == [*stems(text), "so", "it", "s"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Анна купила Хлеб.", ["анна", "купила", "хлеб"]),
        ("Οδός ΟΔΟΣ", ["οδόσ", "οδοσ"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("naïve cafés", ["naïve", "cafés"]),
        ("İstanbul istanbul", ["istanbul", "istanbul"]),
        ("l'été l’été", ["l", "été", "l", "été"]),
        ("п'ять п’ять пʼять", ["п", "ять", "п", "ять", "п", "ять"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),
        ("বাংলা தமிழ்", ["বাংলা", "தமிழ்"]),
        ("كَتَبَ كتب كـتب", ["كتب", "كتب", "كتب"]),
        ("שָׁלוֹם שלום", ["שלום", "שלום"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("我买了3本书。", ["我", "买", "了", "3", "本", "书"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("ｶﾞＡＢＣ１２", ["ガ", "abc12"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("ភាសា", ["ភា", "សា"]),
        ("٢٤ ۲۴ २४ 24", ["24", "24", "24", "24"]),
        ("😀 👍🏽 1️⃣ ☀️", ["1"]),
        ("co\u00adoperate \u200ehere", ["cooperate", "here"]),
        ("x² ½ H₂O", ["x", "h", "o"]),
        ("ﬁne col·lecció coŀlecció", ["fine", "col", "lecció", "col", "lecció"]),
        ("\u0301 -\u0301-", []),
        ("\U00031350", ["\U00031350"]),
    ],
)
def test_words_of_any_script(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_only_words_of_ascii_are_stemmed() -> None:
    assert stems("walked cafés walks") == ["walk", "cafés", "walk"]


@pytest.mark.slow
@example("\u212b\u1100\u1161\uff76\uff9e\u0345\u1e9e")
@given(st.text())
def test_the_normal_form_of_a_text_changes_no_word(text: str) -> None:
    forms = {tuple(words(unicodedata.normalize(form, text))) for form in ("NFC", "NFD")}
    assert forms == {tuple(words(text))}


@given(st.text())
@pytest.mark.slow
def test_words_are_their_own_words(text: str) -> None:
    found = words(text)
    assert words(" ".join(found)) == found
    assert all(found)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("One\ntwo. \n\n Three", ["One", "two.", "Three"]),
        ("At 3.30 or so", ["At 3.30 or so"]),
        (" \n ", []),
        ("我来了。你呢？好！", ["我来了。", "你呢？", "好！"]),
        ("「来た。」と言った。", ["「来た。」", "と言った。"]),
        ("मैं आया। तुम?", ["मैं आया।", "तुम?"]),
        ("متى؟ الآن!", ["متى؟", "الآن!"]),
        ("Да. Нет…", ["Да.", "Нет…"]),
    ],
)
def test_sentences_end_at_line_breaks_and_at_the_stops_of_any_script(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


def test_the_parts_between_spaces_are_characters_where_a_script_has_none() -> None:
    assert spaced("it's so") == ["it's", "so"]
    assert spaced("好的ok ดี") == ["好", "的", "ok", "ดี"]
