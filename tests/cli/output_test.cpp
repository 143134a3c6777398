// What others write is shown as it is and cannot steer the terminal that shows it.
#include "cli/output.h"

#include "core/bundle_paths.h"
#include "core/messages.h"
#include "tests/catch.h"

using namespace tnode;

TEST_CASE("text_of_others_cannot_steer_a_terminal") {
  CHECK(shown_text("\033[31mred\007\r\nnext\tline") == "\\x1b[31mred\\x07\\x0d\nnext\tline");
  CHECK(shown_text("\302\2335m") == "\\x9b5m");           // a control character of 8-bit terminals, as UTF-8
  CHECK(shown_text("\2335m") == "\\x9b5m");                    // and raw
  CHECK(shown_text("\342\200\256txt") == "\357\277\275txt");  // turns the writing direction
  CHECK(shown_text("grün 計算 …") == "grün 計算 …");
  CHECK(shown_text("") == "");
  CHECK(shown_text("\n") == "\n");
}

TEST_CASE("a_field_of_a_note_is_one_line") {
  const Note note{"refused", {{"detail", "no\npaid  me"}}};
  CHECK(field(note, "detail") == "no\\x0apaid  me");
  CHECK(field(note, "reason").empty());
}

TEST_CASE("a_tail_of_stderr_is_marked_and_says_when_it_was_cut") {
  CHECK(stderr_text("one\ntwo\n") == "  its stderr:\n  | one\n  | two");
  const std::string cut = stderr_text(std::string(max_tail_bytes - 6, 'x') + "\nlast\n");
  CHECK(cut == "  its stderr, of which only the end is kept:\n  | …\n  | last");
  CHECK(stderr_text(std::string(max_tail_bytes, 'x')).ends_with("x"));
}

TEST_CASE("how_a_run_ended_has_an_exit_status_only_where_it_exited") {
  CHECK(outcome_text({"ran", {{"outcome", "exited"}, {"exit_code", "3"}}}) == "exit 3");
  CHECK(outcome_text({"ran", {{"outcome", "oom"}, {"exit_code", "0"}}}) == "oom");
}
