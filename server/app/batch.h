// What one step of the engine wants to write, in one transaction, besides outcomes.
#pragma once

#include <utility>
#include <vector>

#include "server/app/engine.h"

namespace ringfence::app {

struct Engine::Batch {
  std::vector<Move> moves;
  std::vector<storage::StageRow> new_stages;
  std::vector<storage::DecisionRow> decisions;
  std::vector<storage::AgentRow> agents;
  std::vector<HostRef> hosts;  // whose rows `agents` holds
  std::vector<storage::QuarantineRow> quarantines;
  std::vector<storage::EventKey> events;
  std::vector<std::pair<storage::DecisionRow, storage::AuditRow>> incidents;
  std::vector<std::pair<ReleaseState*, ReleaseJudgement::Unsaved>> judgements;
  std::vector<storage::DecisionRow> judged_decisions;  // of `decisions`, those that go with the judgements
  struct Age {
    std::string channel;
    uint64_t serial = 0;
    absl::Duration age;
  };
  std::vector<Age> ages;
  std::vector<storage::BackgroundRow> background;
  absl::Time now;
  bool forget_events = false;
  bool told = false;  // watchers hear of it

  bool empty() const {
    return moves.empty() && new_stages.empty() && background.empty() && decisions.empty() && agents.empty() &&
           quarantines.empty() && events.empty() && incidents.empty() && judgements.empty() && ages.empty() &&
           !forget_events;
  }
};

}  // namespace ringfence::app
