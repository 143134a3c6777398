#include "cli/restored.h"

#include <limits>

#include "cli/bundle_disk.h"
#include "cli/durable_file.h"
#include "core/dict_reader.h"

namespace tnode {

Result<void> write_restored_mark(const Home& home, const RestoredMark& mark) {
  bencode::Dictionary dict{{"blocks", static_cast<std::int64_t>(mark.chain.blocks)}, {"head", mark.chain.head.view()}, {"key", mark.key.view()}, {"restored", 1}, {"why", mark.why}};
  if (mark.chain.genesis) dict["genesis"] = encode_block(*mark.chain.genesis);
  return write_durably(home.restored_path(), bencode::encode(dict));
}

Result<std::optional<RestoredMark>> read_restored_mark(const Home& home) {
  auto bytes = read_file(home.restored_path());
  if (!bytes && bytes.error().code == Code::not_found) return std::optional<RestoredMark>();
  if (!bytes) return bytes.error();
  auto value = bencode::decode(*bytes);
  if (!value) return fail(Code::invalid, home.restored_path() + ": " + value.error().message);
  bencode::DictReader reader(*value);
  RestoredMark mark;
  mark.chain.blocks = static_cast<std::uint64_t>(reader.number("blocks", 0, std::numeric_limits<std::int64_t>::max()));
  reader.id("head", mark.chain.head);
  reader.id("key", mark.key);
  reader.number("restored", 1, 1);
  mark.why = reader.bytes("why", 4096);
  if (reader.has("genesis")) {
    auto genesis = decode_block(reader.bytes("genesis", block_bytes));
    if (genesis) mark.chain.genesis = *genesis;
    else reader.refuse("genesis is no block");
  }
  if (auto good = reader.finish(); !good) return fail(Code::invalid, home.restored_path() + ": " + good.error().message);
  return std::optional(mark);
}

Result<void> remove_restored_mark(const Home& home) { return remove_durably(home.restored_path()); }

ChainMark mark_of(const Store& store) {
  const Balance balance = store.balance();
  ChainMark mark{balance.blocks, balance.head, std::nullopt};
  if (balance.blocks > 0) mark.genesis = store.history(0, 1).front();
  return mark;
}

}  // namespace tnode
