#include "serve/openapi.h"

namespace fathom::serve {

// Kept by hand beside the parsers in api_request.cpp, whose fields and ranges it repeats.
std::string_view openapi_document() {
  static constexpr std::string_view kDocument = R"json({
"openapi": "3.1.0",
"info": {
  "title": "Fathom",
  "version": ")json" FATHOM_VERSION R"json(",
  "description": "An OpenAI-compatible server for DeepSeek-family models. Fields that are not listed are refused with status 400."
},
"security": [{}, {"key": []}],
"paths": {
  "/v1/models": {"get": {"summary": "The model that is served", "responses": {"200": {"$ref": "#/components/responses/ok"}, "401": {"$ref": "#/components/responses/error"}}}},
  "/v1/models/{model}": {"get": {"summary": "One model", "parameters": [{"name": "model", "in": "path", "required": true, "schema": {"type": "string"}}], "responses": {"200": {"$ref": "#/components/responses/ok"}, "401": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}}}},
  "/v1/chat/completions": {"post": {"summary": "Answer a conversation", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/chat"}}}}, "responses": {"200": {"$ref": "#/components/responses/answer"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}, "415": {"$ref": "#/components/responses/error"}, "429": {"$ref": "#/components/responses/error"}, "500": {"$ref": "#/components/responses/error"}, "503": {"$ref": "#/components/responses/error"}}}},
  "/v1/completions": {"post": {"summary": "Continue a text", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/completion"}}}}, "responses": {"200": {"$ref": "#/components/responses/answer"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}, "415": {"$ref": "#/components/responses/error"}, "429": {"$ref": "#/components/responses/error"}, "500": {"$ref": "#/components/responses/error"}, "503": {"$ref": "#/components/responses/error"}}}},
  "/v1/responses": {"post": {"summary": "Answer, in the newer API", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/responses"}}}}, "responses": {"200": {"$ref": "#/components/responses/answer"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}, "415": {"$ref": "#/components/responses/error"}, "429": {"$ref": "#/components/responses/error"}, "500": {"$ref": "#/components/responses/error"}, "503": {"$ref": "#/components/responses/error"}}}},
  "/v1/embeddings": {"post": {"summary": "Vectors of length 1 for texts", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/embedding"}}}}, "responses": {"200": {"$ref": "#/components/responses/answer"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}, "415": {"$ref": "#/components/responses/error"}, "429": {"$ref": "#/components/responses/error"}, "500": {"$ref": "#/components/responses/error"}, "503": {"$ref": "#/components/responses/error"}}}},
  "/v1/usage": {"get": {"summary": "Requests and tokens by day, key and model", "parameters": [{"name": "days", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 99999, "default": 30}}], "responses": {"200": {"$ref": "#/components/responses/ok"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}}}},
  "/tokenize": {"post": {"summary": "Token ids of a text", "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "additionalProperties": false, "required": ["content"], "properties": {"model": {"type": ["string", "null"]}, "content": {"type": "string"}, "add_special": {"type": ["boolean", "null"], "default": true}, "parse_special": {"type": ["boolean", "null"], "default": false}}}}}}, "responses": {"200": {"$ref": "#/components/responses/answer"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}, "415": {"$ref": "#/components/responses/error"}, "429": {"$ref": "#/components/responses/error"}, "500": {"$ref": "#/components/responses/error"}, "503": {"$ref": "#/components/responses/error"}}}},
  "/v1/plan": {"post": {"summary": "Deployments of the catalogues ranked for a load: estimates", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/plan"}}}}, "responses": {"200": {"$ref": "#/components/responses/ok"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "415": {"$ref": "#/components/responses/error"}}}},
  "/v1/load_lora_adapter": {"post": {"summary": "Load an adapter from the server's folder for them", "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "additionalProperties": false, "required": ["lora_name", "lora_path"], "properties": {"lora_name": {"type": "string"}, "lora_path": {"type": "string"}}}}}}, "responses": {"200": {"$ref": "#/components/responses/ok"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "403": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}, "415": {"$ref": "#/components/responses/error"}, "429": {"$ref": "#/components/responses/error"}, "500": {"$ref": "#/components/responses/error"}, "503": {"$ref": "#/components/responses/error"}}}},
  "/v1/unload_lora_adapter": {"post": {"summary": "Forget an adapter; answers that have begun keep it", "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "additionalProperties": false, "required": ["lora_name"], "properties": {"lora_name": {"type": "string"}}}}}}, "responses": {"200": {"$ref": "#/components/responses/ok"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "403": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}, "415": {"$ref": "#/components/responses/error"}, "429": {"$ref": "#/components/responses/error"}}}},
  "/detokenize": {"post": {"summary": "The text of token ids", "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object", "additionalProperties": false, "required": ["tokens"], "properties": {"model": {"type": ["string", "null"]}, "tokens": {"$ref": "#/components/schemas/tokens"}}}}}}, "responses": {"200": {"$ref": "#/components/responses/answer"}, "400": {"$ref": "#/components/responses/error"}, "401": {"$ref": "#/components/responses/error"}, "404": {"$ref": "#/components/responses/error"}, "415": {"$ref": "#/components/responses/error"}, "429": {"$ref": "#/components/responses/error"}, "500": {"$ref": "#/components/responses/error"}, "503": {"$ref": "#/components/responses/error"}}}},
  "/health": {"get": {"summary": "Whether the process lives", "security": [], "responses": {"200": {"$ref": "#/components/responses/ok"}}}},
  "/ready": {"get": {"summary": "Whether requests are taken", "security": [], "responses": {"200": {"$ref": "#/components/responses/ok"}, "503": {"$ref": "#/components/responses/ok"}}}},
  "/metrics": {"get": {"summary": "Prometheus metrics", "responses": {"200": {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}, "401": {"$ref": "#/components/responses/error"}}}},
  "/openapi.json": {"get": {"summary": "This document", "security": [], "responses": {"200": {"$ref": "#/components/responses/ok"}}}}
},
)json"
                                                R"json(
"components": {
  "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
  "responses": {
    "ok": {"description": "Done", "content": {"application/json": {"schema": {"type": "object"}}}},
    "answer": {"description": "The answer; with stream, its events", "content": {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}}},
    "error": {"description": "What went wrong", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}}}
  },
  "schemas": {
    "error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object", "required": ["message", "type", "param", "code"], "properties": {"message": {"type": "string"}, "type": {"type": "string"}, "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}}}},
    "tokens": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    "texts": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "maxItems": 256, "items": {"type": "string"}}, {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}, {"type": "array", "minItems": 1, "maxItems": 256, "items": {"$ref": "#/components/schemas/tokens"}}]},
    "content": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object", "required": ["type", "text"], "properties": {"type": {"const": "text"}, "text": {"type": "string"}}, "additionalProperties": false}}]},
    "metadata": {"type": ["object", "null"], "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 512}},
    "message": {"oneOf": [
      {"type": "object", "required": ["role", "content"], "additionalProperties": false, "properties": {"role": {"enum": ["system", "developer", "user"]}, "content": {"$ref": "#/components/schemas/content"}}},
      {"type": "object", "required": ["role", "content"], "additionalProperties": false, "properties": {"role": {"const": "assistant"}, "content": {"$ref": "#/components/schemas/content"}, "reasoning_content": {"type": ["string", "null"]}, "tool_calls": {"$ref": "#/components/schemas/tool_calls"}}},
      {"type": "object", "required": ["role", "tool_calls"], "additionalProperties": false, "properties": {"role": {"const": "assistant"}, "content": {"type": "null"}, "reasoning_content": {"type": ["string", "null"]}, "tool_calls": {"$ref": "#/components/schemas/tool_calls", "minItems": 1}}},
      {"type": "object", "required": ["role", "content"], "additionalProperties": false, "properties": {"role": {"const": "tool"}, "content": {"$ref": "#/components/schemas/content"}, "tool_call_id": {"type": ["string", "null"]}, "name": {"type": ["string", "null"]}}}]},
    "tool_calls": {"type": "array", "items": {"type": "object", "required": ["function"], "additionalProperties": false, "properties": {"id": {"type": ["string", "null"]}, "type": {"const": "function"}, "index": {"type": "integer"}, "function": {"type": "object", "required": ["name"], "additionalProperties": false, "properties": {"name": {"type": "string"}, "arguments": {"type": ["string", "null"]}}}}}},
    "api_name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
    "function": {"type": "object", "required": ["name"], "additionalProperties": false, "properties": {"name": {"$ref": "#/components/schemas/api_name"}, "description": {"type": ["string", "null"]}, "parameters": {"type": ["object", "null"]}, "strict": {"type": ["boolean", "null"]}}},
    "tool": {"type": "object", "required": ["type", "function"], "additionalProperties": false, "properties": {"type": {"const": "function"}, "function": {"$ref": "#/components/schemas/function"}}},
    "flat_tool": {"type": "object", "required": ["type", "name"], "additionalProperties": false, "properties": {"type": {"const": "function"}, "name": {"$ref": "#/components/schemas/api_name"}, "description": {"type": ["string", "null"]}, "parameters": {"type": ["object", "null"]}, "strict": {"type": ["boolean", "null"]}}},
    "tool_choice": {"oneOf": [{"enum": ["none", "auto", "required", null]}, {"type": "object", "required": ["type", "function"], "additionalProperties": false, "properties": {"type": {"const": "function"}, "function": {"type": "object", "required": ["name"], "additionalProperties": false, "properties": {"name": {"$ref": "#/components/schemas/api_name"}}}}}]},
    "flat_tool_choice": {"oneOf": [{"enum": ["none", "auto", "required", null]}, {"type": "object", "required": ["type", "name"], "additionalProperties": false, "properties": {"type": {"const": "function"}, "name": {"$ref": "#/components/schemas/api_name"}}}]},
    "response_format": {"oneOf": [{"type": "null"},
      {"type": "object", "required": ["type"], "additionalProperties": false, "properties": {"type": {"enum": ["text", "json_object"]}}},
      {"type": "object", "required": ["type", "json_schema"], "additionalProperties": false, "properties": {"type": {"const": "json_schema"}, "json_schema": {"type": "object", "required": ["name"], "additionalProperties": false, "properties": {"name": {"$ref": "#/components/schemas/api_name"}, "description": {"type": ["string", "null"]}, "schema": {"type": ["object", "null"]}, "strict": {"type": ["boolean", "null"]}}}}},
      {"type": "object", "required": ["type", "regex"], "additionalProperties": false, "properties": {"type": {"const": "regex"}, "regex": {"type": "string", "minLength": 1}}},
      {"type": "object", "required": ["type", "grammar"], "additionalProperties": false, "properties": {"type": {"const": "grammar"}, "grammar": {"type": "string", "minLength": 1}}}]},
    "text_format": {"oneOf": [{"type": "null"},
      {"type": "object", "required": ["type"], "additionalProperties": false, "properties": {"type": {"enum": ["text", "json_object"]}}},
      {"type": "object", "required": ["type", "name"], "additionalProperties": false, "properties": {"type": {"const": "json_schema"}, "name": {"$ref": "#/components/schemas/api_name"}, "description": {"type": ["string", "null"]}, "schema": {"type": ["object", "null"]}, "strict": {"type": ["boolean", "null"]}}},
      {"type": "object", "required": ["type", "regex"], "additionalProperties": false, "properties": {"type": {"const": "regex"}, "regex": {"type": "string", "minLength": 1}}},
      {"type": "object", "required": ["type", "grammar"], "additionalProperties": false, "properties": {"type": {"const": "grammar"}, "grammar": {"type": "string", "minLength": 1}}}]},
    "stop": {"oneOf": [{"type": "null"}, {"type": "string", "minLength": 1}, {"type": "array", "maxItems": 16, "items": {"type": "string", "minLength": 1, "maxLength": 1024}}]},
    "stream_options": {"type": ["object", "null"], "additionalProperties": false, "properties": {"include_usage": {"type": ["boolean", "null"]}, "include_obfuscation": {"const": false}}},
    "chat": {"type": "object", "required": ["messages"], "additionalProperties": false, "properties": {
      "model": {"type": ["string", "null"]},
      "messages": {"type": "array", "minItems": 1, "maxItems": 4096, "items": {"$ref": "#/components/schemas/message"}},
      "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2}, "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "top_k": {"type": ["integer", "null"], "minimum": -1}, "min_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
      "repetition_penalty": {"type": ["number", "null"], "minimum": 0.01, "maximum": 10}, "presence_penalty": {"type": ["number", "null"], "minimum": -2, "maximum": 2}, "frequency_penalty": {"type": ["number", "null"], "minimum": -2, "maximum": 2},
      "seed": {"type": ["integer", "null"]}, "logit_bias": {"type": ["object", "null"], "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}}, "stop": {"$ref": "#/components/schemas/stop"},
      "max_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 16777216}, "max_completion_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 16777216},
      "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 16}, "logprobs": {"type": ["boolean", "null"]}, "top_logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": 20},
      "ignore_eos": {"type": ["boolean", "null"]}, "stream": {"type": ["boolean", "null"]}, "stream_options": {"$ref": "#/components/schemas/stream_options"}, "user": {"type": ["string", "null"]}, "metadata": {"$ref": "#/components/schemas/metadata"},
      "response_format": {"$ref": "#/components/schemas/response_format"}, "tools": {"type": ["array", "null"], "maxItems": 128, "items": {"$ref": "#/components/schemas/tool"}}, "tool_choice": {"$ref": "#/components/schemas/tool_choice"}, "parallel_tool_calls": {"type": ["boolean", "null"]}
    }},
    "completion": {"type": "object", "required": ["prompt"], "additionalProperties": false, "properties": {
      "model": {"type": ["string", "null"]}, "prompt": {"$ref": "#/components/schemas/texts"},
      "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2}, "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "top_k": {"type": ["integer", "null"], "minimum": -1}, "min_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
      "repetition_penalty": {"type": ["number", "null"], "minimum": 0.01, "maximum": 10}, "presence_penalty": {"type": ["number", "null"], "minimum": -2, "maximum": 2}, "frequency_penalty": {"type": ["number", "null"], "minimum": -2, "maximum": 2},
      "seed": {"type": ["integer", "null"]}, "logit_bias": {"type": ["object", "null"], "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}}, "stop": {"$ref": "#/components/schemas/stop"},
      "max_tokens": {"type": ["integer", "null"], "minimum": 0, "maximum": 16777216, "default": 16}, "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 16}, "logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": 20}, "echo": {"type": ["boolean", "null"]}, "best_of": {"type": ["integer", "null"], "minimum": 1, "maximum": 16},
      "ignore_eos": {"type": ["boolean", "null"]}, "stream": {"type": ["boolean", "null"]}, "stream_options": {"$ref": "#/components/schemas/stream_options"}, "user": {"type": ["string", "null"]}, "response_format": {"$ref": "#/components/schemas/response_format"}
    }},
    "responses": {"type": "object", "required": ["input"], "additionalProperties": false, "properties": {
      "model": {"type": ["string", "null"]}, "input": {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1, "maxItems": 4096, "items": {"type": "object"}}]}, "instructions": {"type": ["string", "null"]},
      "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2}, "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "top_k": {"type": ["integer", "null"], "minimum": -1}, "min_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "repetition_penalty": {"type": ["number", "null"], "minimum": 0.01, "maximum": 10}, "presence_penalty": {"type": ["number", "null"], "minimum": -2, "maximum": 2}, "frequency_penalty": {"type": ["number", "null"], "minimum": -2, "maximum": 2}, "seed": {"type": ["integer", "null"]}, "logit_bias": {"type": ["object", "null"], "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}}, "stop": {"$ref": "#/components/schemas/stop"}, "max_output_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 16777216},
      "ignore_eos": {"type": ["boolean", "null"]}, "stream": {"type": ["boolean", "null"]}, "stream_options": {"$ref": "#/components/schemas/stream_options"}, "user": {"type": ["string", "null"]}, "metadata": {"$ref": "#/components/schemas/metadata"}, "store": {"const": false},
      "text": {"type": ["object", "null"], "additionalProperties": false, "properties": {"format": {"$ref": "#/components/schemas/text_format"}, "verbosity": {"enum": ["medium", null]}}},
      "tools": {"type": ["array", "null"], "maxItems": 128, "items": {"$ref": "#/components/schemas/flat_tool"}}, "tool_choice": {"$ref": "#/components/schemas/flat_tool_choice"}, "parallel_tool_calls": {"type": ["boolean", "null"]}
    }},
    "plan": {"type": "object", "additionalProperties": false, "oneOf": [{"required": ["requests_per_second"]}, {"required": ["sessions"]}], "properties": {
      "requests_per_second": {"type": ["number", "null"], "minimum": 0.000001, "maximum": 1000000}, "sessions": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000000}, "prompt_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000000, "default": 256}, "output_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000000, "default": 256}, "shared_prefix_tokens": {"type": ["integer", "null"], "minimum": 0, "maximum": 1000000},
      "ttft_ms": {"type": ["number", "null"], "minimum": 0, "maximum": 10000000}, "itl_ms": {"type": ["number", "null"], "minimum": 0, "maximum": 10000000}, "percentile": {"type": ["number", "null"], "minimum": 50, "maximum": 99, "default": 90}, "context": {"type": ["integer", "null"], "minimum": 16, "maximum": 1000000, "default": 4096}, "least_quality": {"type": ["number", "null"], "minimum": 0, "maximum": 100}, "modality": {"enum": ["text", "image", null]}, "on_premises": {"type": ["boolean", "null"]}, "usd_per_hour": {"type": ["number", "null"], "minimum": 0, "maximum": 1000000000}, "most_devices": {"type": ["integer", "null"], "minimum": 1, "maximum": 1024, "default": 64}, "by": {"enum": ["cost", "latency", "quality", null]}, "quality_task": {"type": ["string", "null"]},
      "models": {"type": ["array", "null"], "minItems": 1, "maxItems": 64, "items": {"type": "string"}}, "precisions": {"type": ["array", "null"], "minItems": 1, "maxItems": 64, "items": {"enum": ["q4_0", "q8_0", "bf16", "fp8"]}}, "hardware": {"type": ["array", "null"], "minItems": 1, "maxItems": 64, "items": {"type": "string"}}, "limit": {"type": ["integer", "null"], "minimum": 1, "maximum": 100, "default": 10}
    }},
    "embedding": {"type": "object", "required": ["input"], "additionalProperties": false, "properties": {
      "model": {"type": ["string", "null"]}, "input": {"$ref": "#/components/schemas/texts"}, "encoding_format": {"enum": ["float", "base64", null]}, "pooling": {"enum": ["mean", "last", null]}, "user": {"type": ["string", "null"]}
    }}
  }
}
})json";
  return kDocument;
}

}  // namespace fathom::serve
