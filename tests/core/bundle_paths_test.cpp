// Names and texts of strangers.
#include "core/bundle_paths.h"

#include "tests/catch.h"

using namespace tnode;

TEST_CASE("what_strangers_say_cannot_steer_a_terminal") {
  CHECK(shown_text("plain, ünï, two\nlines\tand a tab") == "plain, ünï, two\nlines\tand a tab");
  CHECK(shown_text("\x1b]0;owned\x07\r") == "\uFFFD]0;owned\uFFFD\uFFFD");
  CHECK(shown_text("\u009b2J\u202e\xff\xc3") == "\uFFFD2J\uFFFD\uFFFD\uFFFD");
}
