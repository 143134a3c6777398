// One stranger's chain, audited without asking its owner: its published head is found, the bundles that are not here yet are fetched, and what is
// new is verified. Asynchronous: whoever runs it owns swarm and loop; a farmer that is about to promise work, or `tnode ledger audit`.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/audit_record.h"
#include "cli/chain_segments.h"
#include "cli/home.h"
#include "core/fraud.h"

namespace tnode {

/// A chain as the swarm has it.
struct AuditedChain {
  PublishedHead head;
  ChainReport report;
  std::uint64_t bundles = 0, fetched = 0;  ///< of all its bundles, those that were not here yet
  std::int64_t received_bytes = 0;
  Hash over;                               ///< a bundle that is no longer here, for it has grown; zero when there is none
};

/// How an audit reaches the world. Everything is called, and calls back, in one thread.
struct AuditPorts {
  std::function<void(const NodeKey&)> find_head;  ///< what is found comes by ChainAudit::heard
  FetchPort fetch;
  std::function<void(TimeMs delay_ms, std::function<void()> action)> later;
  std::function<void(std::function<std::function<void()>()> job)> work;  ///< long: may run beside the loop; what it returns runs in it
};

struct AuditRequest {
  NodeKey key;
  std::vector<Block> evidence{};     ///< blocks of that key that are here from elsewhere: its public chain must have them
  bool whole = false;                ///< the report has all blocks, not only those behind the last whole segment that was verified before
  TimeMs wait_ms = 15'000;           ///< for the head
  std::uint64_t most_bundles = 4'096;
  std::vector<NodeKey> holders;
  std::vector<std::string> peers;
};

class ChainAudit : public std::enable_shared_from_this<ChainAudit> {
 public:
  /// `fraud`: what the head or the blocks prove of their key, also when they could not be put together. `timeout` when nothing could be had,
  /// `invalid` when what there is does not hold.
  using End = std::function<void(Result<AuditedChain> chain, std::optional<Fraud> fraud)>;
  static std::shared_ptr<ChainAudit> begin(const Home& home, AuditRequest request, AuditPorts ports, End end);
  void heard(const ItemFound& item);
  /// Ends it as `timeout`, unless it has ended.
  void give_up(const std::string& why);

 private:
  ChainAudit(const Home& home, AuditRequest request, AuditPorts ports, End end);
  void ask();
  void take_head();
  void get(std::uint64_t enough_at);
  void verify(bool goes_on);
  void finish(Result<AuditedChain> chain, std::optional<Fraud> fraud = {});

  Home home_;
  AuditRequest request_;
  AuditPorts ports_;
  End end_;
  bool looking_ = true;
  std::optional<PublishedHead> newest_;
  AuditedChain chain_;
  AuditRecord record_;                // of the last audit
  std::vector<ChainSegment> parts_;   // the newest first
};

}  // namespace tnode
