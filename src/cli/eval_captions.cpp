// fathom eval captions: captions that something wrote beside those that people wrote.
#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/quote.h"
#include "cli/eval_task.h"
#include "cli/input_file.h"
#include "cli/terminal.h"
#include "evaluate/captions.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr JsonLimits kLimits{.bytes = size_t{1} << 30, .values = 100'000'000};

struct CaptionOptions {
  std::string references;
  std::string candidates;
  bool json = false;
};

using Captions = std::map<std::string, std::vector<std::string>>;  // by image

std::string id_of(const nlohmann::json& id) {
  return id.is_string() ? id.get<std::string>() : id.dump();
}

// {"1": "a dog"}, {"1": ["a dog", "a puppy"]}, or as COCO has it, a list of {"image_id", "caption"}
// or an object that holds it as "annotations".
Result<Captions> read_captions(const std::string& path) {
  FATHOM_TRY(const std::string text, read_input_file(path));
  FATHOM_TRY(const nlohmann::json json, parse_json(text, path, kLimits));
  Captions captions;
  const bool annotated = json.is_object() && json.contains("annotations");
  const nlohmann::json& list = annotated ? json["annotations"] : json;
  if (list.is_array()) {
    for (size_t i = 0; i < list.size(); ++i) {
      const nlohmann::json& one = list[i];
      const bool fine = one.is_object() && one.contains("image_id") && one.contains("caption") &&
                        one["caption"].is_string();
      if (!fine) return fail("{}: entry {} has no image_id, or no caption.", path, i + 1);
      captions[id_of(one["image_id"])].push_back(one["caption"].get<std::string>());
    }
  } else if (list.is_object()) {
    for (const auto& [id, value] : list.items()) {
      const auto values = value.is_array() ? value : nlohmann::json::array({value});
      for (const nlohmann::json& caption : values) {
        if (!caption.is_string()) {
          return fail("{}: {} should have a caption, or a list of them.", path, in_quotes(id));
        }
        captions[id].push_back(caption.get<std::string>());
      }
    }
  } else {
    return fail("{} should hold a JSON object of captions by image, or COCO's list.", path);
  }
  if (captions.empty()) return fail("{} holds no captions.", path);
  return captions;
}

Result<int> score(const CaptionOptions& options) {
  FATHOM_TRY(const Captions references, read_captions(options.references));
  FATHOM_TRY(const Captions candidates, read_captions(options.candidates));
  std::vector<CaptionedImage> images;
  images.reserve(candidates.size());
  for (const auto& [id, captions] : candidates) {
    const auto found = references.find(id);
    if (found == references.end() || found->second.empty()) {
      return fail("{} has a caption for the image {}, and {} none.", options.candidates,
                  in_quotes(id), options.references);
    }
    if (captions.size() != 1) {
      return fail("{} has {} captions for the image {}; there must be one.", options.candidates,
                  captions.size(), in_quotes(id));
    }
    images.push_back({.id = id, .references = found->second, .candidate = captions.front()});
  }
  for (const auto& [id, captions] : references) {
    if (!candidates.contains(id)) {
      return fail("{} has no caption for the image {}: all that have references are counted.",
                  options.candidates, in_quotes(id));
    }
  }
  const CaptionScores scores = score_captions(images);
  Json json;
  for (size_t n = 0; n < scores.bleu.size(); ++n) {
    json[fmt::format("bleu_{}", n + 1)] = scores.bleu[n];
  }
  json["cider"] = scores.cider;
  json["rouge_l"] = scores.rouge_l;
  if (!options.json) {
    for (const auto& [name, value] : json.items()) {
      print(fmt::format("{:<8} {:>8.4f}\n", name, value.get<double>()));
    }
    print(fmt::format("{} images\n", scores.images));
    return 0;
  }
  json["images"] = scores.images;
  print(json.dump(2) + "\n");
  return 0;
}

}  // namespace

void add_eval_captions(CLI::App& eval, Chosen& chosen) {
  auto* command = eval.add_subcommand("captions", "captions beside those that people wrote");
  auto options = std::make_shared<CaptionOptions>();
  command
      ->add_option(
          "--references", options->references,
          "JSON: captions by image, {\"1\": [\"a dog\", \"a puppy\"]}, or COCO's annotations")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--candidates", options->candidates,
                   "JSON: one caption for each image, {\"1\": \"a cat\"}, or COCO's results")
      ->required()
      ->type_name("FILE");
  command->add_flag("--json", options->json, "print one JSON object");
  command->callback([&chosen, options] { chosen.action = [options] { return score(*options); }; });
}

}  // namespace fathom::cli
