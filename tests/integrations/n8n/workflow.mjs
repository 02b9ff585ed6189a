/** What our nodes use of the package n8n-workflow while they run, where it is not installed. */

export const NodeConnectionTypes = { Main: "main" };

class NodeError extends Error {
  constructor(node, message, options) {
    super(message);
    this.description = options.description;
    this.context = { itemIndex: options.itemIndex };
  }
}

export class NodeOperationError extends NodeError {
  constructor(node, error, options = {}) {
    if (error instanceof NodeOperationError) return error;
    super(node, error.message ?? error, options);
  }
}

export class NodeApiError extends NodeError {
  constructor(node, response, options = {}) {
    if (response instanceof NodeApiError) return response;
    super(node, options.message ?? response.message, options);
    this.httpCode = options.httpCode ?? null;
  }
}

export async function sleep(milliseconds) {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
