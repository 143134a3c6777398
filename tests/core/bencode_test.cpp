// Bencoding: what is written, and everything that is refused because it is a second spelling.
#include "core/bencode.h"

#include "tests/catch.h"

using namespace tnode;
using bencode::Dictionary;
using bencode::List;
using bencode::Value;

TEST_CASE("bencode_writes_each_kind_in_its_one_form") {
  CHECK(bencode::encode(0) == "i0e");
  CHECK(bencode::encode(std::int64_t{-42}) == "i-42e");
  CHECK(bencode::encode(std::int64_t{INT64_MIN}) == "i-9223372036854775808e");
  CHECK(bencode::encode("") == "0:");
  CHECK(bencode::encode("spam") == "4:spam");
  CHECK(bencode::encode(List{1, "a"}) == "li1e1:ae");
  CHECK(bencode::encode(Dictionary{{"b", 1}, {"a", 2}, {"\xff", 3}}) == "d1:ai2e1:bi1e1:\xffi3ee");
}

TEST_CASE("bencode_reads_back_what_it_wrote") {
  Value value = Dictionary{{"list", List{1, List{}, Dictionary{}, std::int64_t{INT64_MAX}, std::int64_t{INT64_MIN}}}, {"text", Bytes("a\0b", 3)}};
  auto read = bencode::decode(bencode::encode(value));
  REQUIRE(read);
  CHECK(*read == value);
  CHECK(*read->find("text")->bytes() == Bytes("a\0b", 3));
  CHECK(read->find("none") == nullptr);
  CHECK(Value(1).find("none") == nullptr);
}

TEST_CASE("bencode_refuses_every_second_spelling") {
  for (std::string_view bytes : {"", "i", "ie", "i-e", "i01e", "i-0e", "i-01e", "i+1e", "i 1e", "i1", "i9223372036854775808e", "i-9223372036854775809e",
                                 "i1ei2e", "i1e ", "1:", "01:a", "2:a", "-1:a", ":", "99999999999999999999:a", "18446744073709551615:a", "l", "li1e", "d", "d1:a",
                                 "d1:ai1e", "di1ei1ee", "d1:bi1e1:ai2ee", "d1:ai1e1:ai2ee", "d2:aai1e1:bi1e0:i1ee", "x", "e"}) {
    CAPTURE(bytes);
    auto read = bencode::decode(bytes);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Code::invalid);
    CHECK(read.error().message.find("not canonical bencoding at byte") == 0);
  }
}

TEST_CASE("bencode_reads_to_its_depth_and_no_deeper") {
  auto nested = [](int depth) { return Bytes(static_cast<std::size_t>(depth), 'l') + Bytes(static_cast<std::size_t>(depth), 'e'); };
  CHECK(bencode::decode(nested(bencode::max_depth)));
  CHECK_FALSE(bencode::decode(nested(bencode::max_depth + 1)));
  CHECK_FALSE(bencode::decode(Bytes(1'000'000, 'l')));
}

TEST_CASE("bencode_never_takes_a_damaged_form_for_another_value") {
  // Each single-byte change either is refused or is the one form of what it then says.
  Bytes bytes = bencode::encode(Dictionary{{"a", List{1, -20, "xy"}}, {"bc", Dictionary{{"d", ""}}}});
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (int c = 0; c < 256; ++c) {
      Bytes changed = bytes;
      changed[i] = static_cast<char>(c);
      if (auto read = bencode::decode(changed)) CHECK(bencode::encode(*read) == changed);
    }
  }
}
