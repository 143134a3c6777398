// How a summary of verified blocks is kept. Numbers and lists of fixed size in a bencoded dictionary; nobody else ever reads it.
#include <limits>

#include "core/chain_file.h"
#include "core/dict_reader.h"

namespace tnode {
namespace {

using bencode::Dictionary;

constexpr std::size_t open_bytes = 3 * 32 + 2 * 8, owed_bytes = 32 + 8;
constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

void append_number(Bytes& out, std::int64_t value) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
}
std::int64_t number_at(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return static_cast<std::int64_t>(value);
}
template <class Name>
Name name_at(std::string_view bytes, std::size_t at) { return *Name::from_bytes(bytes.substr(at, 32)); }

}  // namespace

Bytes encode_chain_summary(const ChainSummary& summary) {
  check(summary.state.head.has_value(), "a summary is of some blocks");
  Bytes open, owed;
  for (const auto& [ref, hold] : summary.state.open) {
    open.append(ref.view()).append(hold.id.view()).append(hold.payee.view());
    append_number(open, hold.amount);
    append_number(open, hold.expiry_ms);
  }
  for (const auto& [key, amount] : summary.owed) {
    owed += key.view();
    append_number(owed, amount);
  }
  const ChainSums& s = summary.sums;
  const auto number = [](std::uint64_t count) { return static_cast<std::int64_t>(count); };
  return bencode::encode(Dictionary{{"credits", number(s.credits)}, {"credits proved", number(s.credits_proved)}, {"debits", number(s.debits)}, {"debits receipted", number(s.debits_receipted)},
                                    {"earned", s.earned_micro}, {"head", encode_block(*summary.state.head)}, {"line", summary.state.line_micro}, {"open", std::move(open)}, {"owed", std::move(owed)},
                                    {"paid", s.paid_micro}, {"proved", s.proved_micro}, {"summary", 1}, {"used", summary.state.used}});
}

Result<ChainSummary> decode_chain_summary(std::string_view bytes) {
  auto value = bencode::decode(bytes);
  if (!value) return value.error();
  bencode::DictReader reader(*value);
  ChainSummary summary;
  ChainSums& s = summary.sums;
  const auto count = [&](const char* key) { return static_cast<std::uint64_t>(reader.number(key, 0, most)); };
  reader.number("summary", 1, 1);
  s.credits = count("credits"), s.credits_proved = count("credits proved"), s.debits = count("debits"), s.debits_receipted = count("debits receipted");
  s.earned_micro = reader.number("earned", 0, most), s.paid_micro = reader.number("paid", 0, most), s.proved_micro = reader.number("proved", 0, s.earned_micro);
  summary.state.line_micro = reader.number("line", 0, most);
  summary.state.used = reader.bytes("used", bytes.size());
  const Bytes head = reader.bytes("head", block_bytes), open = reader.bytes("open", bytes.size()), owed = reader.bytes("owed", bytes.size());
  if (summary.state.used.size() % sizeof(ChainUse) != 0 || open.size() % open_bytes != 0 || owed.size() % owed_bytes != 0) reader.refuse("a list is cut off");
  if (auto good = reader.finish(); !good) return fail(Code::invalid, "a summary of a chain: " + good.error().message);
  auto block = decode_block(head);
  if (!block) return block.error();
  summary.state.head = *block;
  for (std::size_t at = 0; at < open.size(); at += open_bytes)
    summary.state.open[name_at<Hash>(open, at)] = {name_at<BlockId>(open, at + 32), name_at<NodeKey>(open, at + 64), number_at(open, at + 96), number_at(open, at + 104)};
  for (std::size_t at = 0; at < owed.size(); at += owed_bytes) summary.owed[name_at<NodeKey>(owed, at)] = number_at(owed, at + 32);
  return summary;
}

}  // namespace tnode
