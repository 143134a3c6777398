// Names and texts of strangers.
#include "core/bundle_paths.h"

#include "tests/catch.h"

using namespace tnode;

TEST_CASE("what_strangers_say_cannot_steer_a_terminal") {
  CHECK(shown_text("plain, ünï, two\nlines\tand a tab") == "plain, ünï, two\nlines\tand a tab");
  CHECK(shown_text("plain\ttext\nand more") == "plain\ttext\nand more");
  CHECK(shown_text("\x1b]0;owned\x07\x1b[2J\rok") == "\\x1b]0;owned\\x07\\x1b[2J\\x0dok");
  CHECK(shown_text("\xc2\x9b" "31m") == "\\x9b31m");
  CHECK(shown_text("a\x7f\x08" "b") == "a\\x7f\\x08" "b");
  CHECK(shown_text(std::string_view("\0x", 2)) == "\\x00x");
  CHECK(shown_text("größer – 日本") == "größer – 日本");
  CHECK(shown_text("\u202e\xff\xc3") == "\uFFFD\\xff\\xc3");
}
