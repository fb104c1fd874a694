/* Loads a SavedModel with TensorFlow's C API and scores texts, with no Python in the process.

   score_text [--library=FILE ...] DIRECTORY INPUT OUTPUT [TEXT ...]

   Each FILE is a library of further operations, such as those of TensorFlow Text. INPUT and OUTPUT are OPERATION:INDEX,
   a string [B] and a float tensor with B = 1 as its first dimension. Each TEXT is a request of its own. The program
   prints a line for each: "ok" and the numbers of the output, or "error" and the message. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

static void stop(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static TF_Output find(TF_Graph* graph, const char* name) {
  char operation[512];
  const char* colon = strrchr(name, ':');
  if (colon == NULL || (size_t)(colon - name) >= sizeof(operation)) stop(name, "not OPERATION:INDEX");
  memcpy(operation, name, colon - name);
  operation[colon - name] = '\0';
  TF_Output output = {TF_GraphOperationByName(graph, operation), atoi(colon + 1)};
  if (output.oper == NULL) stop(name, "no such operation");
  return output;
}

static TF_Tensor* one_string(const char* text) {
  const int64_t shape[] = {1};
  TF_Tensor* tensor = TF_AllocateTensor(TF_STRING, shape, 1, sizeof(TF_TString));
  TF_TString* element = TF_TensorData(tensor);
  TF_StringInit(element);
  TF_StringCopy(element, text, strlen(text));
  return tensor;
}

static void score(TF_Session* session, TF_Output input, TF_Output output, const char* text) {
  TF_Status* status = TF_NewStatus();
  TF_Tensor* request = one_string(text);
  TF_Tensor* response = NULL;
  TF_SessionRun(session, NULL, &input, &request, 1, &output, &response, 1, NULL, 0, NULL, status);
  if (TF_GetCode(status) != TF_OK) {
    /* Only the first line, which has the reason; later lines name the operation in the graph. */
    printf("error %.*s\n", (int)strcspn(TF_Message(status), "\n"), TF_Message(status));
  } else {
    const float* numbers = TF_TensorData(response);
    printf("ok");
    for (size_t i = 0; i < TF_TensorByteSize(response) / sizeof(float); ++i) printf(" %.9g", numbers[i]);
    printf("\n");
    TF_DeleteTensor(response);
  }
  TF_StringDealloc(TF_TensorData(request));
  TF_DeleteTensor(request);
  TF_DeleteStatus(status);
}

int main(int count, char** arguments) {
  const char* const program = arguments[0];
  const char* const tags[] = {"serve"};
  const char flag[] = "--library=";
  TF_Status* status = TF_NewStatus();
  for (; count > 1 && strncmp(arguments[1], flag, strlen(flag)) == 0; --count, ++arguments) {
    /* Operations stay registered, so the library is never deleted. */
    TF_LoadLibrary(arguments[1] + strlen(flag), status);
    if (TF_GetCode(status) != TF_OK) stop("TF_LoadLibrary", TF_Message(status));
  }
  if (count < 4) stop(program, "[--library=FILE ...] DIRECTORY INPUT OUTPUT [TEXT ...]");
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, NULL, status);
  if (TF_GetCode(status) != TF_OK) stop("TF_LoadSessionFromSavedModel", TF_Message(status));
  TF_Output input = find(graph, arguments[2]);
  TF_Output output = find(graph, arguments[3]);
  for (int i = 4; i < count; ++i) score(session, input, output, arguments[i]);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
