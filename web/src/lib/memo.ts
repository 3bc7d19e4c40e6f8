import { Component, h, type ComponentChild, type FunctionComponent } from 'preact';

/**
 * A component that is drawn again only when one of its properties is another one; of `names`, where
 * they are given.
 */
export function memo<P extends object>(
  inner: FunctionComponent<P>,
  names?: readonly (keyof P)[],
): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const before = this.props as Readonly<P>;
      const looked = names ?? (Object.keys(next) as (keyof P)[]);
      return looked.some((name) => next[name] !== before[name]);
    }
    override render(): ComponentChild {
      return h(inner, this.props as P);
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
