import type { RefObject } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

const NEAR_PIXELS = 40;

/** Keeps the end in sight while `content` grows, unless the reader has scrolled away from it. */
export function useFollow(scroller: RefObject<HTMLElement | null>, content: unknown) {
  const [following, setFollowing] = useState(true);
  const wanted = useRef(true);

  const toEnd = () => {
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  };
  const follow = useCallback(() => {
    wanted.current = true;
    setFollowing(true);
    toEnd();
  }, []);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    const onScroll = () => {
      const left = element.scrollHeight - element.scrollTop - element.clientHeight;
      wanted.current = left < NEAR_PIXELS;
      setFollowing(wanted.current);
    };
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => element.removeEventListener('scroll', onScroll);
  }, []);

  useLayoutEffect(() => {
    if (wanted.current) toEnd();
  }, [content]);

  return { following, follow };
}
