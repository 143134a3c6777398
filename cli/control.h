// What other commands ask of the node that runs with the same home: one file a request, in a folder that the node watches.
#pragma once
#include <functional>
#include <memory>

#include "cli/home.h"
#include "core/fraud.h"
#include "core/payment.h"
#include "swarm/watch_folder.h"

namespace tnode {

class Node;

/// What a node can be asked for. Called in its loop; one that is empty is not for this node, and its request is left to another.
struct ControlActions {
  std::function<void(const TaskId&)> cancel;
  std::function<void(bool paused)> pause;
};

/// While it lives, requests in the home's control folder reach the node's loop and are deleted.
class ControlFolder {
 public:
  ControlFolder(Node& node, ControlActions actions);

 private:
  std::unique_ptr<WatchFolder> folder_;
};

/// Asks the node that runs to give a task up.
Result<void> ask_to_cancel(const Home& home, const TaskId& task);
/// Asks the node that runs to pay. Its store tells the rest: the DEBIT of that ref, or why there is none (payment_refused_bucket).
Result<void> ask_to_pay(const Home& home, const Payment& payment);
/// Asks it to keep a proof of fraud and to hand it on.
Result<void> ask_to_keep_proof(const Home& home, const Fraud& fraud);
/// Asks it to serve a runtime that was packed into its home; one that starts later is asked then.
Result<void> ask_to_serve(const Home& home, const RuntimeId& runtime);

/// Asks the farmer that runs to pause, or to go on, and waits until it took note; `not_found` when none does.
Result<void> ask_to_pause(const Home& home, bool paused);

}  // namespace tnode
