#include "cli/restored.h"

#include <filesystem>
#include <limits>

#include "cli/bundle_disk.h"
#include "cli/durable_file.h"
#include "core/dict_reader.h"
#include "core/messages.h"

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

namespace {

std::string words_of(Store::Doubt doubt) {
  switch (doubt) {
    case Store::Doubt::no_chain: return "there is no store, though its key is not new";
    case Store::Doubt::older: return "its store has fewer blocks than it had before";
    case Store::Doubt::copied: return "its store is a copy of the one that was here";
    case Store::Doubt::told: return "somebody has blocks of its chain that are not here";
    case Store::Doubt::none: break;
  }
  return {};
}

}  // namespace

Result<OwnStore> open_own_store(const Home& home, const KeyPair& key, TimeMs now) {
  auto mark = read_restored_mark(home);
  if (!mark) return mark.error();
  if (*mark && (*mark)->key != key.key()) return fail(Code::invalid, home.restored_path() + " tells of another key than this home's; move it away if you know why it is there");
  Store::Options options;
  options.path = home.store_path();
  options.key = key.key();
  options.signer = &key;
  std::error_code ec;
  options.key_is_new = !*mark && std::filesystem::exists(home.unused_key_path(), ec);
  auto store = Store::open(options, now);
  if (!store) return store.error();
  if (*mark) (*store)->distrust();
  if ((*store)->doubt() == Store::Doubt::none) {
    // From the first block on the key is not new, whatever becomes of the store.
    if (auto removed = remove_durably(home.unused_key_path()); !removed) return removed.error();
  } else if (!*mark) {
    *mark = RestoredMark{key.key(), mark_of(**store), words_of((*store)->doubt())};
    if (auto written = write_restored_mark(home, **mark); !written) return written.error();
  }
  return OwnStore{std::move(*store), std::move(*mark)};
}

Result<PutBack> put_back(Store& store, const ChainReport& chain) {
  PutBack done;
  const std::uint64_t before = store.blocks();
  auto taken = store.take_own(chain);
  if (!taken) return taken.error();
  done.blocks = *taken;
  for (std::uint64_t at = before; at < before + *taken; ++at) {
    const Block& debit = chain.own[at];
    if (debit.type != BlockType::debit || store.half_of(debit)) continue;
    done.outbox.push_back({"unclaimed", Bytes(debit.counterparty.view()) + Bytes(debit.ref.view()), encode_message(PaymentMessage{{encode_block(debit)}})});
  }
  return done;
}

ChainMark mark_of(const Store& store) {
  const Balance balance = store.balance();
  ChainMark mark{balance.blocks, balance.head, std::nullopt};
  if (balance.blocks > 0) mark.genesis = store.history(0, 1).front();
  return mark;
}

}  // namespace tnode
