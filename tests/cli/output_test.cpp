#include "cli/output.h"
#include "tests/catch.h"

using namespace tnode;

TEST_CASE("a_strangers_words_move_no_cursor_and_set_no_title") {
  REQUIRE(printable("plain\ttext\nand more") == "plain\ttext\nand more");
  REQUIRE(printable("\x1b]0;owned\x07\x1b[2J\rok") == "\\x1b]0;owned\\x07\\x1b[2J\\x0dok");
  REQUIRE(printable("\xc2\x9b" "31m") == "\\x9b31m");
  REQUIRE(printable("a\x7f\x08" "b") == "a\\x7f\\x08" "b");
  REQUIRE(printable(std::string_view("\0x", 2)) == "\\x00x");
  REQUIRE(printable("größer – 日本") == "größer – 日本");
}
