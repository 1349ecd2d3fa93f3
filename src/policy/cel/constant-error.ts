import type { Node } from './ast.ts';

/** A constant part has no value, such as `int('x')` or `find('(')`: an error of compilation, as in Kubernetes. */
export class ConstantError extends Error {
  readonly node: Node;
  constructor(node: Node, message: string) {
    super(message);
    this.node = node;
  }
}
