#include "cli/plan_ledger.h"

#include "serve/database.h"
#include "serve/ledger.h"

namespace fathom::cli {

Result<std::vector<plan::PastRequest>> read_past_requests(const std::filesystem::path& path) {
  // Opening would make it.
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) {
    return usage_error("There is no ledger {}. fathom serve writes one (--database).",
                       path.string());
  }
  FATHOM_TRY(const auto database, serve::Database::open(path));
  FATHOM_TRY(auto rows,
             serve::Statement::prepare(
                 database,
                 "SELECT time, prompt_tokens, completion_tokens FROM requests WHERE prompt_tokens "
                 "> 0 AND completion_tokens > 0 AND outcome != ?1 ORDER BY time"));
  rows.bind(1, serve::LedgerEntry::kDropped);
  std::vector<plan::PastRequest> requests;
  while (true) {
    FATHOM_TRY(const bool more, rows.step());
    if (!more) break;
    requests.push_back(
        {.at = rows.real(0), .prompt_tokens = rows.integer(1), .output_tokens = rows.integer(2)});
  }
  if (requests.size() < 2 || !(requests.back().at > requests.front().at)) {
    return usage_error("The ledger {} has {} answered requests; a load needs two at least.",
                       path.string(), requests.size());
  }
  const double first = requests.front().at;
  for (plan::PastRequest& request : requests) request.at -= first;
  return requests;
}

}  // namespace fathom::cli
