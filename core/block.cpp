#include "core/block.h"

#include <cstring>

#include "core/amount.h"

namespace tnode {
namespace {

constexpr std::string_view magic = "tnodeblk";
constexpr std::uint64_t max_seq = (std::uint64_t{1} << 56) - 1;

void append_u64(Bytes& out, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}
std::uint64_t read_u64(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
  return value;
}
template <class Tag>
void read_id(std::string_view bytes, std::size_t at, Id<Tag>& into) { std::memcpy(into.bytes.data(), bytes.data() + at, 32); }

}  // namespace

std::string_view block_word(BlockType type) {
  switch (type) {
    case BlockType::genesis: return "genesis";
    case BlockType::hold: return "hold";
    case BlockType::release: return "release";
    case BlockType::debit: return "debit";
    case BlockType::credit: return "credit";
    case BlockType::checkpoint: return "checkpoint";
  }
  return "unknown";
}

// Offsets are the format: docs/blocks.md says them field by field and a golden file pins them.
Bytes encode_block_body(const Block& block) {
  Bytes out(magic);
  append_u64(out, static_cast<std::uint64_t>(block.type) << 56 | (block.seq & max_seq));
  append_u64(out, static_cast<std::uint64_t>(block.time_ms));
  out += block.key.view();
  out += block.counterparty.view();
  out += block.prev.view();
  out += block.link.view();
  out += block.ref.view();
  out += block.evidence.view();
  append_u64(out, static_cast<std::uint64_t>(block.amount));
  append_u64(out, static_cast<std::uint64_t>(block.balance));
  append_u64(out, static_cast<std::uint64_t>(block.held));
  append_u64(out, static_cast<std::uint64_t>(block.expiry_ms));
  check(out.size() == block_body_bytes, "a block's body has 248 bytes");
  return out;
}

Bytes encode_block(const Block& block) {
  Bytes out = encode_block_body(block);
  out.append(reinterpret_cast<const char*>(block.signature.data()), block.signature.size());
  return out;
}

Result<Block> decode_block(std::string_view bytes) {
  if (bytes.size() != block_bytes) return fail(Code::invalid, "a block has " + std::to_string(block_bytes) + " bytes, not " + std::to_string(bytes.size()));
  if (bytes.substr(0, 8) != magic) return fail(Code::invalid, "a block starts with 'tnodeblk'");
  Block block;
  std::uint64_t head = read_u64(bytes, 8);
  auto type = static_cast<std::uint8_t>(head >> 56);
  if (type < 1 || type > 6) return fail(Code::invalid, "block type " + std::to_string(type) + " is unknown");
  block.type = static_cast<BlockType>(type);
  block.seq = head & max_seq;
  block.time_ms = static_cast<TimeMs>(read_u64(bytes, 16));
  read_id(bytes, 24, block.key);
  read_id(bytes, 56, block.counterparty);
  read_id(bytes, 88, block.prev);
  read_id(bytes, 120, block.link);
  read_id(bytes, 152, block.ref);
  read_id(bytes, 184, block.evidence);
  block.amount = static_cast<Micro>(read_u64(bytes, 216));
  block.balance = static_cast<Micro>(read_u64(bytes, 224));
  block.held = static_cast<Micro>(read_u64(bytes, 232));
  block.expiry_ms = static_cast<TimeMs>(read_u64(bytes, 240));
  std::memcpy(block.signature.data(), bytes.data() + block_body_bytes, 64);
  if (block.amount < 0 || block.held < 0) return fail(Code::invalid, "a block's amounts are not negative");
  return block;
}

BlockId block_id(const Block& block) { return rename_id<BlockId>(domain_hash("block-id", encode_block_body(block))); }
bool verify_block(const Block& block) { return verify(block.key, "block", encode_block_body(block), block.signature); }
void sign_block(Block& block, const KeyPair& key) { block.signature = key.sign("block", encode_block_body(block)); }

Result<void> check_block_shape(const Block& block) {
  const bool alone = block.type == BlockType::genesis || block.type == BlockType::checkpoint;
  const bool answers = block.type == BlockType::release || block.type == BlockType::debit || block.type == BlockType::credit;
  const char* rule = nullptr;
  if (block.amount < 0 || block.held < 0) rule = "amounts are not negative";
  else if (block.time_ms < 0) rule = "it was written before 1970";
  else if (alone != block.counterparty.is_zero()) rule = alone ? "it has no counterparty" : "it needs a counterparty";
  else if (block.counterparty == block.key) rule = "nobody deals with oneself";
  else if (alone != block.ref.is_zero()) rule = alone ? "it has no ref" : "it needs a ref";
  else if (answers == block.link.is_zero()) rule = answers ? "it must link to the block that it answers" : "it links to nothing";
  else if (block.type != BlockType::hold && block.expiry_ms != 0) rule = "only a hold expires";
  else if (block.type == BlockType::genesis && !block.evidence.is_zero()) rule = "it has no evidence";
  else if (block.type == BlockType::checkpoint && block.amount != 0) rule = "it moves nothing";
  if (!rule) return {};
  return fail(Code::invalid, std::string(block_word(block.type)) + " block " + std::to_string(block.seq) + ": " + rule);
}

Result<void> check_next_block(const Block* previous, const Block& block, Micro hold_amount, Micro line_micro) {
  auto broken = [&](const std::string& rule) {
    return fail(Code::invalid, std::string(block_word(block.type)) + " block " + std::to_string(block.seq) + ": " + rule);
  };
  if (!previous) {
    if (block.type != BlockType::genesis || block.seq != 0 || !block.prev.is_zero()) return broken("a chain starts with a genesis block, seq 0");
    if (block.balance != 0 || block.held != 0) return broken("a chain starts with nothing");
    return {};
  }
  if (block.type == BlockType::genesis) return broken("only the first block is a genesis block");
  if (block.key != previous->key) return broken("a chain has one key");
  if (block.seq != previous->seq + 1) return broken("seq follows " + std::to_string(previous->seq));
  if (block.prev != block_id(*previous)) return broken("prev is not the block before it");
  if (block.time_ms < previous->time_ms) return broken("time runs backwards");
  std::optional<Micro> balance = previous->balance, held = previous->held;
  switch (block.type) {
    case BlockType::hold: held = checked_add(*held, block.amount); break;
    case BlockType::release:
      if (block.amount != hold_amount) return broken("it gives back another amount than was held");
      held = checked_add(*held, -block.amount);
      break;
    case BlockType::debit:
      if (block.amount > hold_amount) return broken("it pays more than was held");
      held = checked_add(*held, -hold_amount);
      balance = checked_add(*balance, -block.amount);
      break;
    case BlockType::credit: balance = checked_add(*balance, block.amount); break;
    case BlockType::checkpoint: break;
    case BlockType::genesis: break;
  }
  if (!balance || !held) return broken("its amounts overflow");
  if (block.balance != *balance) return broken("balance is " + format_credits(block.balance) + ", should be " + format_credits(*balance));
  if (block.held != *held || block.held < 0) return broken("held is " + format_credits(block.held) + ", should be " + format_credits(*held));
  auto available = checked_add(block.balance, -block.held);
  if (block.type == BlockType::hold && (!available || *available < -line_micro)) return broken("it goes below the line of " + format_credits(line_micro) + " credits");
  return {};
}

}  // namespace tnode
